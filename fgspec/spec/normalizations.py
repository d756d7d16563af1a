"""Normalizations, one class each, and the sections of architectures that say where they stand."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt, Resume, Section
from fgspec.spec.coupling import Coupling
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.shapes import Axis, divisors
from fgspec.yaml.load import Path

NORMALIZATIONS = table("normalization", "normalizations")


class Normalization(Kind):
    """What is done to an activation [n, p, g, c], and over which axes.

    Attributes:
        normalizes: whether it does anything at all.
        couples_examples: whether an example's output depends on other examples of the batch.
            Evaluation then normalizes by running averages of `moments`.
        reads_parts: whether channels are cut into `normalization.parts` first.
        on_tokens: whether local_mixer and mlp offer it.
        on_grids: whether conv_net, resnet18 and chain offer it.
        over: the axes that statistics are taken over.
        over_in_group: the same at layers that map each group by itself; None if `over`.
        over_whole: the same before the classifier and in auxiliary heads, where `parts` may not
            divide the channels; None if `over`.
    """

    table: ClassVar = NORMALIZATIONS
    on_resume: ClassVar = Resume.FIXED
    normalizes: ClassVar[bool] = True
    couples_examples: ClassVar[bool] = False
    reads_parts: ClassVar[bool] = False
    on_tokens: ClassVar[bool] = False
    on_grids: ClassVar[bool] = False
    over: ClassVar[tuple[Axis, ...]] = ()
    over_in_group: ClassVar[tuple[Axis, ...] | None] = None
    over_whole: ClassVar[tuple[Axis, ...] | None] = None

    def apply(
        self, x: Any, axes: tuple[int, ...], epsilon: float, moments: tuple[Any, Any] | None = None
    ) -> Any:
        """`x` normalized, of the same shape and type.

        Args:
            x: float32, [n, p, g, c]; where there are parts, c are the channels of one part.
            axes: positions of the axes that statistics are taken over, as `over` names them.
            epsilon: added to what is divided by.
            moments: mean and variance to use instead of those of `x`; only where it couples
                examples.
        """
        raise self.lacks("apply")

    def moments(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Mean and variance of `x` over `axes`, which stay with length 1; see `apply`.

        Needed only where it couples examples.
        """
        raise self.lacks("moments")


class NoNormalization(Normalization):
    """No normalization."""

    normalizes: ClassVar[bool] = False
    on_tokens: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    type: Literal["none"] = "none"


class LocalLayerNorm(Normalization):
    """Zero mean, unit variance over the channels of one patch; of one group at grouped layers."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:LocalLayerNorm"
    on_tokens: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("group", "channel")
    over_in_group: ClassVar[tuple[Axis, ...] | None] = ("channel",)
    type: Literal["local_layer_norm"] = "local_layer_norm"


class LayerNorm(Normalization):
    """Zero mean and unit variance over positions and channels of one example."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:LayerNorm"
    on_tokens: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("patch", "group", "channel")
    type: Literal["layer_norm"] = "layer_norm"


class BatchNorm(Normalization):
    """Zero mean and unit variance over batch and positions of one channel."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:BatchNorm"
    couples_examples: ClassVar[bool] = True
    on_tokens: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("batch", "patch")
    type: Literal["batch_norm"] = "batch_norm"


class GroupNorm(Normalization):
    """Layer norm of each of several parts of the channels (Wu and He 2018)."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:GroupNorm"
    reads_parts: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("patch", "channel")
    over_whole: ClassVar[tuple[Axis, ...] | None] = ("patch", "group", "channel")
    type: Literal["group_norm"] = "group_norm"


Placement = Literal["begin_block", "before_linear", "after_linear"]
"""Where a normalization stands (Ren et al. 2022, table 6)."""


def _coupling(norm: "TokenNormalization | GridNormalization", at: Path) -> Coupling | None:
    return Coupling(str(norm.type), (*at, "type")) if norm.type.couples_examples else None


def _ignored(norm: "TokenNormalization | GridNormalization", at: Path) -> Path | None:
    return (*at, "gradient") if norm.type.normalizes and norm.gradient == "ignored" else None


def _unread(norm: Section, fields: tuple[str, ...], why: str, at: Path) -> Iterator[Problem]:
    """Fields that nothing reads must hold their defaults."""
    for field in fields:
        if getattr(norm, field) != type(norm).model_fields[field].default:
            yield Problem((*at, field), f"{why}; remove it", others=((*at, "type"),))


class TokenNormalization(Section):
    """Normalization without affine parameters (Ren et al. 2022, section 5)."""

    on_resume: ClassVar = Resume.FIXED
    type: Annotated[Normalization, OneOf(NORMALIZATIONS, named=True, only="on_tokens")] = Field(
        default=LocalLayerNorm(),
        description="local_layer_norm: over the channels of one patch, and of one group at a "
        "grouped layer. layer_norm: over patches and channels of one example. batch_norm: over "
        "batch and patches of one channel; evaluation takes running statistics, of which 0.9 "
        "remains after every step. none: no normalization.",
    )
    placement: tuple[Placement, ...] = Field(
        default=("before_linear", "after_linear"),
        description="Any of begin_block, before_linear, after_linear (Ren et al. 2022, table 6).",
    )
    readout: bool | tuple[Literal["heads", "classifier"], ...] = Field(
        default=True,
        description="Also normalize what readouts read. heads: what local heads read, per group "
        "under local_layer_norm. classifier: what the classifier reads, averaged over patches. "
        "true: both; false: neither; or a list of them.",
    )
    gradient: Literal["exact", "ignored"] = Field(
        default="exact",
        description="Whether an activity-space estimate is pulled back through the normalization "
        "that stands after the linear layer, or past it ('NG', Ren et al. 2022, table 5). "
        "Only activity perturbation reads it.",
    )
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1e-5,
        description="Added to the variance. Where inputs can be constant (a blank patch), the "
        "gradient is multiplied by up to 1/sqrt(epsilon).",
    )

    def reads(self, readout: Literal["heads", "classifier"]) -> bool:
        """Whether what this kind of readout reads is normalized."""
        return self.readout if isinstance(self.readout, bool) else readout in self.readout

    def coupling(self, at: Path) -> Coupling | None:
        """That it couples the examples of a batch, if it does; `at` is this section's path."""
        return _coupling(self, at)

    def ignored(self, at: Path) -> Path | None:
        """The field that says that estimates go past the normalization; None if through it."""
        return _ignored(self, at)

    def problems(self, at: Path) -> Iterator[Problem]:
        """A normalization that is not there has no options, and one that is there stands somewhere.

        Args:
            at: the path of this section.
        """
        if not self.type.normalizes:
            fields = ("placement", "readout", "gradient")
            yield from _unread(self, fields, "never read without a normalization", at)
        elif not self.placement and not self.readout:
            yield Problem(at, "normalizes nothing; name a placement or use type: none", False)
        elif self.gradient == "ignored" and "after_linear" not in self.placement:
            message = "never read without a normalization after_linear; remove it"
            yield Problem((*at, "gradient"), message, others=((*at, "placement"),))
        if len(set(self.placement)) < len(self.placement):
            yield Problem((*at, "placement"), "names a place twice")


class GridNormalization(Section):
    """Normalization after every convolution, before its activation."""

    on_resume: ClassVar = Resume.FIXED
    type: Annotated[Normalization, OneOf(NORMALIZATIONS, named=True, only="on_grids")] = Field(
        default=BatchNorm(),
        description="batch_norm: over batch and positions of one channel; evaluation takes running "
        "statistics, of which 0.9 remains after every step. layer_norm: over positions and "
        "channels of one example. group_norm: the same, of each of several parts of the channels.",
    )
    affine: bool = Field(
        default=True, description="Whether a learnt scale and shift of every channel follow."
    )
    parts: PositiveInt = Field(
        default=32, description="Parts that group_norm cuts the channels into."
    )
    gradient: Literal["exact", "ignored"] = Field(
        default="exact",
        description="Whether an activity-space estimate is pulled back through the normalization, "
        "or past it. Only activity perturbation reads it.",
    )
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1e-5, description="Added to the variance."
    )

    def coupling(self, at: Path) -> Coupling | None:
        """That it couples the examples of a batch, if it does; `at` is this section's path."""
        return _coupling(self, at)

    def ignored(self, at: Path) -> Path | None:
        """The field that says that estimates go past the normalization; None if through it."""
        return _ignored(self, at)

    def problems(self, at: Path, widths: tuple[int, ...]) -> Iterator[Problem]:
        """Fields that are set are read, and parts cut channels equally.

        Args:
            at: the path of this section.
            widths: the channels that are normalized, where they are known without the data.
        """
        fields = () if self.type.normalizes else ("affine", "gradient")
        fields += () if self.type.reads_parts else ("parts",)
        yield from _unread(self, fields, f"never read under {self.type}", at)
        wrong = [width for width in widths if self.type.reads_parts and width % self.parts]
        if wrong:
            message = f"must divide {wrong[0]} channels; {divisors(wrong[0], self.parts)}"
            yield Problem((*at, "parts"), message)
