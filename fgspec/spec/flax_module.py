"""The architecture `flax`: somebody's own Flax NNX module, whose submodules in a row are blocks."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from fgspec.problems.problems import Problem, nearest
from fgspec.spec import plugins
from fgspec.spec.activations import AnyActivation, Relu
from fgspec.spec.architectures import Architecture
from fgspec.spec.base import Values
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.gradient import Gradient, Perturbation
from fgspec.spec.initializations import AnyInitialization, Kaiming
from fgspec.spec.kinds import working
from fgspec.spec.losses import Losses
from fgspec.spec.mesh import Mesh
from fgspec.spec.run import Expect
from fgspec.spec.shapes import divisors
from fgspec.yaml.load import Path

MODULES = f"{plugins.PREFIX}flax_modules"
"""The group of entry points that name functions or classes which make NNX modules."""


class Arguments(dict[str, Any]):
    """Plain values by name, hashable by value as all of a spec is."""

    def __hash__(self) -> int:  # type: ignore[override]
        """Of the values as JSON."""
        return hash(json.dumps(self, sort_keys=True))


class Flax(Architecture):
    """Your own Flax NNX module: a chain of submodules, each of which is a block."""

    behaviour: ClassVar[str | None] = "compiler.flax_modules.architecture:Flax"
    shown: ClassVar[tuple[str, ...]] = ("module",)
    type: Literal["flax"] = "flax"
    module: str | None = Field(
        default=None,
        description="The name of the module among the entry points `fgspec.flax_modules` of "
        "installed packages. null: the module that Python code passes, as in "
        "`fgspec.compile(spec, network=module)`.",
        examples=["mlp"],
    )
    arguments: Annotated[dict[str, Any], AfterValidator(Arguments)] = Field(
        default_factory=Arguments,
        description="Keyword arguments that the module is made with, such as its widths.",
        examples=[{"hidden": [64, 64]}],
    )
    axes: Annotated[
        tuple[Literal["patch"], ...],
        Values({"patch": "All axes between the batch and the last one: positions."}),
    ] = Field(
        default=(),
        description="Axes that features keep through all blocks, besides the batch and the "
        "channels. Local losses can have copies along them.",
        examples=[["patch"]],
    )
    initialization: AnyInitialization = Field(
        default=Kaiming(),
        description="How the initial weights of classifier, heads and backward weights are drawn; "
        "the module draws its own.",
    )
    activation: AnyActivation = Field(
        default=Relu(), description="The activation in the hidden layers of heads."
    )

    @property
    def loss_axes(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those that the spec declares."""
        return self.axes

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(module="mlp", arguments=Arguments(hidden=[4, 3]))

    def offered_by(self) -> Iterator[tuple[str, str]]:
        """Its own entry point and the module's."""
        yield from super().offered_by()
        if self.module is not None:
            yield MODULES, self.module

    def problems(self, at: Path) -> Iterator[Problem]:
        """The module is installed."""
        known = plugins.names(MODULES)
        if self.module is not None and self.module not in known:
            message = f"no such flax module is installed; {nearest(self.module, known)}"
            yield Problem((*at, "module"), message)
        elif self.module is None and self.arguments:
            yield Problem((*at, "arguments"), "nothing takes them without a module; remove it")

    def data_problems(
        self,
        at: Path,
        info: DatasetInfo,
        losses: Losses,
        gradient: Gradient,
        mesh: Mesh,
        expect: Expect | None,
    ) -> Iterator[Problem]:
        """The module can be trained, by this estimator, with losses at its blocks."""
        path: Path = (*at, "module")
        network = working(self)
        why = network.misread(info.image_shape)
        if why is not None:
            yield Problem(path, why, False)
            return
        yield from _of_blocks(network.blocks_in(info.image_shape), path, losses, mesh, expect)
        how, space = gradient.estimator, (gradient.perturbation or Perturbation()).space
        estimator: Path = ("gradient", "estimator", "type")
        asked: tuple[tuple[Path, str | None], ...] = ()
        if how.perturbs and space.layerwise:
            place: Path = ("gradient", "perturbation", "space")
            asked = ((place, network.unreached(info.image_shape)),)
        elif how.isolates_layers:
            asked = ((estimator, network.unknown_activation(info.image_shape)),)
        elif how.linear_maps:
            asked = ((estimator, network.not_linear(info.image_shape)),)
        for field, why in asked:
            if why is not None:
                yield Problem(field, why, others=(path,))

    def code(self, image: tuple[int, int, int]) -> str | None:
        """Of the traced module: what draws its parameters, and what its blocks compute."""
        raise self.lacks("code")

    def misread(self, image: tuple[int, int, int]) -> str | None:
        """Why the module cannot be taken, in one line, or None."""
        raise self.lacks("misread")

    def blocks_in(self, image: tuple[int, int, int]) -> int:
        """How many blocks the module has."""
        raise self.lacks("blocks_in")

    def unreached(self, image: tuple[int, int, int]) -> str | None:
        """Why its pre-activations cannot be reached, and what to do instead; None if they can."""
        raise self.lacks("unreached")

    def unknown_activation(self, image: tuple[int, int, int]) -> str | None:
        """Why errors cannot be sent to every layer, which goes through its activation, or None."""
        raise self.lacks("unknown_activation")

    def not_linear(self, image: tuple[int, int, int]) -> str | None:
        """Why errors cannot go through other weights than the forward ones, or None."""
        raise self.lacks("not_linear")


def _of_blocks(
    count: int, path: Path, losses: Losses, mesh: Mesh, expect: Expect | None
) -> Iterator[Problem]:
    """What does not fit the number of blocks, which is not known before the module is made."""
    local, blocks = losses.local, f"{count} block{'s' if count != 1 else ''}"
    if local is not None and local.last != "final" and count % local.every:
        near = divisors(count, local.every)
        message = f"must divide the {blocks} of the module, or the last would have no loss; {near}"
        yield Problem(("losses", "local", "every"), message, others=(path,))
        return
    every = local.every if local is not None else 1
    if mesh.stage > -(-count // every):
        message = f"must be at most the {-(-count // every)} chains of the module's {blocks}"
        yield Problem(("mesh", "stage"), message, others=(path,))
    if expect is not None and expect.metric.startswith("local_loss/") and local is not None:
        known = [f"local_loss/block{k}" for k in range(every - 1, count, every)]
        if expect.metric not in known:
            message = f"no such metric; {nearest(expect.metric, known)}"
            yield Problem(("expect", "metric"), message, others=(path,))
