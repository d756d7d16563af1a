"""VGG: 3x3 convolutions in a row, with max pooling between them."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.activations import AnyActivation, Relu
from fgspec.spec.architectures import AT, Normalized
from fgspec.spec.base import PositiveFloat, PositiveInt, Unit, Values
from fgspec.spec.initializations import AnyInitialization, KaimingUniform
from fgspec.spec.losses import LossAxis
from fgspec.spec.normalizations import GridNormalization, NormPlace
from fgspec.spec.shapes import Extent, flat, slid
from fgspec.yaml.load import Path

# VGG8B is as in the published code of Nokland and Eidnes 2019, whose parameter counts
# tests/compiler/test_vgg.py compares; VGG-11 and VGG-16 are configurations A and D of Simonyan and
# Zisserman 2015.
_STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    8: ((128, 256), (256, 512), (512,), (512,)),
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}
"""By depth, the channels of the convolutions between two poolings; a pooling ends each stage."""

_HIDDEN: dict[int, tuple[int, ...]] = {8: (1024,), 11: (), 16: ()}
"""By depth, the widths of the fully connected layers before the classifier."""


class Step(NamedTuple):
    """One block of the network.

    Attributes:
        width: channels of its convolution, or units of its fully connected layer.
        convolves: whether it is a convolution.
        pools: whether max pooling comes before it.
        end: the shape after it.
    """

    width: int
    convolves: bool
    pools: bool
    end: Extent


class Vgg(Normalized):
    """VGG-8, VGG-11 or VGG-16. Every convolution and every fully connected layer is a block.

    VGG-8 is VGG8B of Nokland and Eidnes 2019 (arXiv 1901.06656): six convolutions, a fully
    connected layer of 1024 units, and the classifier. VGG-11 and VGG-16 have the convolutions of
    configurations A and D of Simonyan and Zisserman 2015 (arXiv 1409.1556). On small images, they
    are used without the two layers of 4096 units, so `hidden` is empty by default.
    2x2 max pooling belongs to the block after it, so that a local loss reads features before they
    are pooled, as in the code of Nokland and Eidnes. The last pooling belongs to the classifier if
    `hidden` is empty. A grid with a side of one position is not pooled further.
    """

    behaviour: ClassVar[str | None] = "compiler.network.vgg:Vgg"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch",)
    type: Literal["vgg"] = "vgg"
    depth: Annotated[
        Literal[8, 11, 16],
        Values(
            {
                8: "VGG8B: 128, 256, pool, 256, 512, pool, 512, pool, 512, pool; 1024 units.",
                11: "Configuration A: 64, pool, 128, pool, 2 x 256, pool, 2 x 512, pool, 2 x 512, "
                "pool.",
                16: "Configuration D: 2 x 64, pool, 2 x 128, pool, 3 x 256, pool, 3 x 512, pool, "
                "3 x 512, pool.",
            }
        ),
    ] = Field(
        default=8,
        description="Which VGG. For 11 and 16 the name counts the three fully connected layers of "
        "the original.",
    )
    width: PositiveFloat = Field(
        default=1.0,
        description="Factor that multiplies the channels of every convolution, but not `hidden`.",
        examples=[0.25],
    )
    hidden: Annotated[tuple[PositiveInt, ...] | None, Unit("units")] = Field(
        default=None,
        description="Widths of the fully connected layers before the classifier; each is a block. "
        "null: one of 1024 units for VGG-8, none for VGG-11 and VGG-16.",
        examples=[[4096, 4096]],
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(),
        description="The normalization of convolutions and fully connected layers. The published "
        "VGG of 2015 has none.",
    )
    initialization: AnyInitialization = Field(
        default=KaimingUniform(), description="How initial weights and biases are drawn."
    )
    activation: AnyActivation = Field(
        default=Relu(),
        description="The activation in the blocks, and in the hidden layers of heads.",
    )

    @classmethod
    def example(cls) -> Self:
        """See the base."""
        return cls(depth=8, width=0.005, hidden=(2,))

    def block_count(self) -> tuple[int, Path] | None:
        """The convolutions and the fully connected layers."""
        return sum(map(len, _STAGES[self.depth])) + len(self.units), (*AT, "depth")

    @property
    def units(self) -> tuple[int, ...]:
        """The widths of the fully connected layers before the classifier."""
        return _HIDDEN[self.depth] if self.hidden is None else self.hidden

    def scaled(self, channels: int) -> int:
        """Channels, times the width."""
        return max(1, round(channels * self.width))

    def steps(self, image: tuple[int, int, int]) -> Iterator[Step]:
        """Every block with its shape.

        Args:
            image: height and width in pixels, and colours.
        """
        start, due = Extent(image[0], image[1], 1, image[2]), False
        for stage in _STAGES[self.depth]:
            for channels in map(self.scaled, stage):
                pools = due and can_pool(start)
                grid = slid(2, 2, start) if pools else start
                start = grid.grouped(channels)
                yield Step(channels, True, pools, start)
                due = False
            due = True
        for units in self.units:
            pools, start, due = due and can_pool(start), flat(units), False
            yield Step(units, False, pools, start)

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After every convolution and fully connected layer."""
        yield from self.ends(image)

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The same."""
        for step in self.steps(image):
            yield NormPlace(step.end, (*AT, "width" if step.convolves else "hidden"))

    def problems(self, at: Path) -> Iterator[Problem]:
        """Those of its normalization."""
        channels = {self.scaled(width) for stage in _STAGES[self.depth] for width in stage}
        widths = (*sorted(channels), *self.units)
        yield from self.normalization.problems((*at, "normalization"), widths)


def can_pool(start: Extent) -> bool:
    """Whether 2x2 pooling leaves a position of a grid."""
    return min(start.rows, start.columns) > 1
