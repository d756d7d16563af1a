"""The ResNets of He et al. 2016 for small images."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.activations import AnyActivation, Relu
from fgspec.spec.architectures import AT, Normalized
from fgspec.spec.base import PositiveFloat, PositiveInt, Values
from fgspec.spec.initializations import AnyInitialization, KaimingUniform
from fgspec.spec.losses import LossAxis
from fgspec.spec.normalizations import GridNormalization, NormPlace
from fgspec.spec.shapes import Extent, slid
from fgspec.yaml.load import Path

_WIDTHS = (16, 32, 64)
"""Channels of the three stages."""


class CifarResnet(Normalized):
    """ResNet-20, -32, -56, -110 and others of 6 n + 2 layers (He et al. 2016, section 4.2).

    A 3x3 convolution (the stem), then three stages of n basic blocks of 16, 32 and 64 channels, the
    average over positions and a linear classifier (arXiv 1512.03385). The first basic block of the
    second and of the third stage has stride 2. Stem and basic blocks are the *units* of the
    network: 3 n + 1 in all. `blocks` says into how many blocks, each of which can have a loss, they
    are cut.
    """

    behaviour: ClassVar[str | None] = "compiler.network.cifar_resnet:CifarResnet"
    loss_axes: ClassVar[tuple[LossAxis, ...]] = ("patch",)
    type: Literal["cifar_resnet"] = "cifar_resnet"
    depth: Annotated[int, Field(ge=8, le=10_000)] = Field(
        default=20,
        description="Layers with weights: 6 n + 2 for n basic blocks in each stage, such as 20, "
        "32, 56 or 110.",
        examples=[56],
    )
    blocks: PositiveInt | None = Field(
        default=None,
        description="Number of blocks that the units are cut into, as equally as possible; earlier "
        "blocks have one unit more where the number does not divide. null: every unit is a block.",
        examples=[4],
    )
    last_block: PositiveInt | None = Field(
        default=None,
        description="Number of units in the last block; the other units are shared by the other "
        "blocks. null: as for all blocks.",
        examples=[7],
    )
    width: PositiveFloat = Field(
        default=1.0,
        description="Factor that multiplies the channels of every layer: 16, 32 and 64.",
        examples=[0.25],
    )
    shortcut: Annotated[
        Literal["padding", "projection"],
        Values(
            {
                "padding": "Option A: every second position, and zeros in the added channels; no "
                "parameters. He et al. use it on CIFAR-10.",
                "projection": "Option B: a 1x1 convolution of stride 2, normalized.",
            }
        ),
    ] = Field(
        default="padding",
        description="What is added where grid and channels change. All other basic blocks add "
        "their input.",
    )
    normalization: GridNormalization = Field(
        default=GridNormalization(), description="The normalization of the convolutions."
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
        return cls(depth=8, blocks=3, width=0.06)

    @property
    def stage_length(self) -> int:
        """The number of basic blocks in a stage."""
        return (self.depth - 2) // 6

    def units_of_blocks(self) -> list[int]:
        """How many units each block has."""
        units = 3 * self.stage_length + 1
        if self.last_block is None:
            return _shared(units, self.blocks or units)
        before = units - self.last_block
        count = before if self.blocks is None else self.blocks - 1
        return [*_shared(before, count), self.last_block]

    def block_count(self) -> tuple[int, Path] | None:
        """As its fields say."""
        return len(self.units_of_blocks()), (*AT, "depth" if self.blocks is None else "blocks")

    def scaled(self, channels: int) -> int:
        """Channels, times the width."""
        return max(1, round(channels * self.width))

    def units(self) -> Iterator[tuple[int, int]]:
        """Channels and stride of every unit."""
        for stage, channels in enumerate(_WIDTHS):
            for place in range(self.stage_length + (stage == 0)):
                yield self.scaled(channels), 2 if stage > 0 and place == 0 else 1

    def normalized(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """After the stem and every convolution."""
        start = Extent(image[0], image[1], 1, image[2])
        for channels, stride in self.units():
            start = slid(3, stride, start.grouped(channels))
            yield NormPlace(start, (*AT, "width"))

    def ends(self, image: tuple[int, int, int]) -> Iterator[NormPlace]:
        """The last units of blocks."""
        places = self.normalized(image)
        for count in self.units_of_blocks():
            *_, last = (next(places) for _ in range(count))
            yield last

    def problems(self, at: Path) -> Iterator[Problem]:
        """The depth is one that there is, and every block gets a unit."""
        widths = tuple(self.scaled(channels) for channels in _WIDTHS)
        yield from self.normalization.problems((*at, "normalization"), widths)
        if (self.depth - 2) % 6:
            below = 6 * self.stage_length + 2
            message = f"must be 6 n + 2; nearest: {below}, {below + 6}"
            yield Problem((*at, "depth"), message)
            return
        units = 3 * self.stage_length + 1
        if self.last_block is not None and self.last_block >= units:
            message = f"must be less than {units}, the stem and the basic blocks"
            yield Problem((*at, "last_block"), message, others=((*at, "depth"),))
        elif self.blocks is not None and 0 in self.units_of_blocks():
            most = units if self.last_block is None else units - self.last_block + 1
            message = f"must be at most {most}: the stem and the basic blocks are {units} units"
            yield Problem((*at, "blocks"), message, others=((*at, "depth"),))
        elif self.blocks == 1 and self.last_block is not None:
            message = "never read: there is one block; remove it"
            yield Problem((*at, "last_block"), message, others=((*at, "blocks"),))


def _shared(units: int, blocks: int) -> list[int]:
    """So many units in so many blocks, as equally as possible; the first have more."""
    if blocks < 1:
        return []
    fewest, more = divmod(max(units, 0), blocks)
    return [fewest + 1] * more + [fewest] * (blocks - more)
