"""Normalizations, one class each, and the sections of architectures that say where they stand."""

from collections.abc import Iterable, Iterator
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from fgspec.problems.problems import Problem, dotted
from fgspec.spec.base import PositiveInt, Resume, Section, Values
from fgspec.spec.coupling import Coupling
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.shapes import ACTIVATION, Axis, Extent, divisors
from fgspec.yaml.load import Path

NORMALIZATIONS = table("normalization", "normalizations")


class NormPlace(NamedTuple):
    """An activation that is normalized.

    Attributes:
        extent: of the activation.
        field: that decides it, and so over how many values.
        grouped: whether it is at a layer that maps each group by itself.
        whole: whether it is before the classifier or in a head, where parts may not divide.
    """

    extent: Extent
    field: Path
    grouped: bool = False
    whole: bool = False


class Normalization(Kind):
    """What is done to an activation [n, p, g, c], and over which axes.

    Attributes:
        normalizes: whether it does anything at all.
        couples_examples: whether an example's output depends on other examples of the batch.
            Evaluation then normalizes by running averages of `moments`.
        reads_parts: whether channels are cut into `normalization.parts` first.
        on_tokens: whether networks of patches or vectors offer it, such as local_mixer and vit.
        on_grids: whether networks of convolutions and `chain` offer it.
        unit_length: whether the squares of what it gives add up to 1, instead of 1 in the mean.
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
    unit_length: ClassVar[bool] = False
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

    def axes(self, place: NormPlace) -> tuple[Axis, ...]:
        """The axes that statistics are taken over at a place."""
        special = self.over_in_group if place.grouped else self.over_whole if place.whole else None
        return self.over if special is None else special

    def values(self, place: NormPlace, batch: int, parts: int = 1) -> int:
        """How many values are normalized together at a place.

        Args:
            place: the place.
            batch: examples.
            parts: that channels are cut into, where it `reads_parts`.
        """
        positions, groups, channels = place.extent.features
        if self.reads_parts and not place.whole:
            groups, channels = parts, place.extent.width // parts
        sizes = dict(zip(ACTIVATION, (batch, positions, groups, channels), strict=True))
        return prod(sizes[axis] for axis in self.axes(place))

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
    """Mean 0 and variance 1 over the channels of one patch (Ren et al. 2022).

    At layers that map each group by itself, over the channels of one group of one patch.
    """

    behaviour: ClassVar[str | None] = "compiler.network.norms:LocalLayerNorm"
    on_tokens: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("group", "channel")
    over_in_group: ClassVar[tuple[Axis, ...] | None] = ("channel",)
    type: Literal["local_layer_norm"] = "local_layer_norm"


class LayerNorm(Normalization):
    """Mean 0 and variance 1 over all positions and channels of one example (Ba et al. 2016)."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:LayerNorm"
    on_tokens: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("patch", "group", "channel")
    type: Literal["layer_norm"] = "layer_norm"


class BatchNorm(Normalization):
    """Mean 0 and variance 1 over batch and positions of one channel (Ioffe and Szegedy 2015).

    It couples the examples of a batch. Evaluation takes running statistics, of which 0.9 remains
    after every update.
    """

    behaviour: ClassVar[str | None] = "compiler.network.norms:BatchNorm"
    couples_examples: ClassVar[bool] = True
    on_tokens: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("batch", "patch")
    type: Literal["batch_norm"] = "batch_norm"


class GroupNorm(Normalization):
    """Layer norm of each of `parts` equal parts of the channels by itself (Wu and He 2018)."""

    behaviour: ClassVar[str | None] = "compiler.network.norms:GroupNorm"
    reads_parts: ClassVar[bool] = True
    on_grids: ClassVar[bool] = True
    over: ClassVar[tuple[Axis, ...]] = ("patch", "channel")
    over_whole: ClassVar[tuple[Axis, ...] | None] = ("patch", "group", "channel")
    type: Literal["group_norm"] = "group_norm"


Placement = Literal["begin_block", "between_blocks", "before_linear", "after_linear"]
"""Where a normalization stands (Ren et al. 2022, table 6; `between_blocks`: Hinton 2022)."""


def _single(
    norm: Any, parts: int, at: Path, places: Iterable[NormPlace], batch: int
) -> Iterator[Problem]:
    """At most one problem: the first place where a single value is normalized by itself."""
    lone = (p for p in places if norm.type.normalizes and norm.type.values(p, batch, parts) == 1)
    for place in lone:
        field: Path = place.field
        if "batch" in norm.type.axes(place):
            field, remedy = ("data", "batch_size"), "use a larger batch"
        elif parts > 1 and not place.whole:
            field, remedy = (*at, "parts"), "use fewer parts"
        else:
            remedy = f"use another {dotted(field)}"
        message = (
            f"takes mean and deviation of a single value, at {place.extent} (positions, groups x "
            f"channels), so that all become 0 and nothing is learnt; {remedy}, or another type"
        )
        yield Problem((*at, "type"), message, others=(field,))
        return


def _unread(norm: Section, fields: tuple[str, ...], why: str, at: Path) -> Iterator[Problem]:
    """Fields that nothing reads must hold their defaults.

    Defaults may stand there, as `resolved.yaml` states every value and must be a spec itself.
    """
    for field in fields:
        if getattr(norm, field) != type(norm).model_fields[field].default:
            yield Problem((*at, field), f"{why}; remove it", others=((*at, "type"),))


_PULLED_BACK = Values(
    {
        "exact": "Pulled back through the normalization.",
        "ignored": "Passed on as if the normalization were not there ('NG' in Ren et al. 2022, "
        "table 5); biased.",
    }
)


class PlacedNormalization(Section):
    """The section of an architecture that says which normalization stands where."""

    # Not fields here: fields of a base come first, and specs are printed in the order of fields.
    if TYPE_CHECKING:
        type: Any
        gradient: Any = None

    def coupling(self, at: Path) -> Coupling | None:
        """That it couples the examples of a batch, if it does; `at` is this section's path."""
        return Coupling(str(self.type), (*at, "type")) if self.type.couples_examples else None

    def ignored(self, at: Path) -> Path | None:
        """The field that says that estimates go past the normalization; None if through it."""
        ignored = self.type.normalizes and self.gradient == "ignored"
        return (*at, "gradient") if ignored else None

    def single(self, at: Path, places: Iterable[NormPlace], batch: int) -> Iterator[Problem]:
        """Places where a single value is normalized; `at` is this section's path."""
        yield from _single(self, 1, at, places, batch)


class TokenNormalization(PlacedNormalization):
    """A normalization without learnt scale and shift (Ren et al. 2022, section 5)."""

    on_resume: ClassVar = Resume.FIXED
    type: Annotated[Normalization, OneOf(NORMALIZATIONS, named=True, only="on_tokens")] = Field(
        default=LocalLayerNorm(),
        description="Which numbers are normalized together, and how.",
    )
    # A list, as the first paper's code normalizes at all three places at once.
    placement: Annotated[
        tuple[Placement, ...],
        Values(
            {
                "begin_block": "Before the first layer of every block.",
                "between_blocks": "Before the first layer of every block but the first, which "
                "reads the image as it is (Hinton 2022).",
                "before_linear": "Before every linear layer.",
                "after_linear": "After every linear layer, before its activation.",
            }
        ),
    ] = Field(
        default=("before_linear", "after_linear"),
        description="Where normalizations stand: a list of places (Ren et al. 2022, table 6).",
        examples=[["after_linear"]],
    )
    readout: Annotated[
        bool | tuple[Literal["heads", "classifier"], ...],
        Values(
            {
                "heads": "What the heads of local losses read; each group by itself under "
                "`local_layer_norm`.",
                "classifier": "What the classifier reads: features averaged over patches.",
            }
        ),
    ] = Field(
        default=True,
        description="Whether the features that heads and classifier read are normalized too. true: "
        "both; false: neither; or a list of those that are.",
        examples=[["heads"]],
    )
    gradient: Annotated[Literal["exact", "ignored"], _PULLED_BACK] = Field(
        default="exact",
        description="How an estimate at an activation gets to the weights before it, where a "
        "normalization stands between. Only `space: activation` reads it.",
    )
    # On the digits, where 0.9 % of the images have a blank patch, one seed in four diverged at
    # 1e-5, and none at the quickstart's 1e-2.
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1e-5,
        description="Added to the variance, or to the squared length, whose root is divided by. "
        "Where the input can be constant, as "
        "in a blank patch, the gradient is multiplied by up to 1/sqrt(epsilon).",
        examples=[0.01],
    )

    def reads(self, readout: Literal["heads", "classifier"]) -> bool:
        """Whether what this kind of readout reads is normalized."""
        return self.readout if isinstance(self.readout, bool) else readout in self.readout

    def around(
        self,
        start: Extent,
        end: Extent,
        field: Path,
        begins: bool = False,
        grouped: bool = False,
        first: bool = False,
    ) -> Iterator[NormPlace]:
        """What is normalized before and after a map.

        Args:
            start: what enters the map.
            end: what leaves it.
            field: that decides the shapes.
            begins: whether the map begins a block.
            grouped: whether it maps each group by itself.
            first: whether it is in the first block.
        """
        if self.before(begins, first):
            yield NormPlace(start, field, grouped)
        if "after_linear" in self.placement:
            yield NormPlace(end, field, grouped)

    def before(self, begins: bool, first: bool) -> bool:
        """Whether the input of a map is normalized.

        Args:
            begins: whether the map begins a block.
            first: whether it is in the first block.
        """
        between = begins and not first and "between_blocks" in self.placement
        begun = begins and "begin_block" in self.placement
        return "before_linear" in self.placement or begun or between

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


class GridNormalization(PlacedNormalization):
    """A normalization after every convolution, before its activation."""

    on_resume: ClassVar = Resume.FIXED
    type: Annotated[Normalization, OneOf(NORMALIZATIONS, named=True, only="on_grids")] = Field(
        default=BatchNorm(),
        description="Which numbers are brought to mean 0 and variance 1 together.",
    )
    affine: bool = Field(
        default=True,
        description="Whether a learnt scale and shift of every channel follow.",
        examples=[False],
    )
    parts: PositiveInt = Field(
        default=32,
        description="How many equal parts `group_norm` cuts the channels into; only it reads this.",
        examples=[4],
    )
    gradient: Annotated[Literal["exact", "ignored"], _PULLED_BACK] = Field(
        default="exact",
        description="How an estimate at an activation gets to the weights before it, where a "
        "normalization stands between. Only `space: activation` reads it.",
    )
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1e-5,
        description="Added to the variance that is divided by.",
        examples=[0.001],
    )

    def single(self, at: Path, places: Iterable[NormPlace], batch: int) -> Iterator[Problem]:
        """Places where a single value is normalized; `at` is this section's path."""
        yield from _single(self, self.parts, at, places, batch)

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


class PreNormalization(PlacedNormalization):
    """A normalization at the beginning of every residual branch, and before the classifier.

    The heads of local losses read features that are normalized too, without a learnt scale and
    shift.
    """

    on_resume: ClassVar = Resume.FIXED
    type: Annotated[Normalization, OneOf(NORMALIZATIONS, named=True, only="on_tokens")] = Field(
        default=LocalLayerNorm(),
        description="Which numbers are brought to mean 0 and variance 1 together. The layer norm "
        "of transformers, over the channels of each token, is `local_layer_norm`.",
    )
    affine: bool = Field(
        default=True,
        description="Whether a learnt scale and shift of every channel follow. Rules that perturb "
        "activations or weights perturb them too, and a dense layer behind can do what they do.",
        examples=[False],
    )
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1e-5,
        description="Added to the variance that is divided by.",
        examples=[1e-6],
    )

    def ignored(self, at: Path) -> Path | None:
        """None: no linear map stands before a normalization in its layer."""
        return None

    def problems(self, at: Path) -> Iterator[Problem]:
        """Fields that are set are read; `at` is this section's path."""
        fields = () if self.type.normalizes else ("affine",)
        yield from _unread(self, fields, f"never read under {self.type}", at)
