"""Heads: auxiliary networks between a block and its local loss, one class each."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume, Unit
from fgspec.spec.kinds import Kind, table
from fgspec.spec.shapes import Extent, flat, slid

HEADS = table("head", "heads")


class Head(Kind):
    """What turns the features after a block into the outputs of its local loss.

    Attributes:
        reads_grid: why it cannot read features averaged over patches, if so.
    """

    table: ClassVar = HEADS
    on_resume: ClassVar = Resume.FIXED
    reads_grid: ClassVar[str] = ""

    def normalized(self, features: Extent, pooled: bool) -> Iterator[tuple[Extent, str | None]]:
        """What the normalization of its hidden layers is given, and the field that decides it.

        Args:
            features: after the block.
            pooled: whether it reads all positions.
        """
        yield from ()

    def normalizes(self, pooled: bool) -> bool:
        """Whether layers of its own are normalized as those of the network are.

        Args:
            pooled: whether it reads all positions.
        """
        return True

    def averaged(self, place: Any) -> tuple[Any, ...]:
        """Its layers on features averaged over patches (`losses.local.aggregation: replicated`).

        Args:
            place: `compiler.network.heads.Place`: the features, the outputs, the network around.

        Returns:
            Layers, of which the last gives the outputs.
        """
        raise self.lacks("averaged")

    def pooled(self, place: Any) -> tuple[Any, ...]:
        """Its layers on all positions (`losses.local.aggregation: pooled`); see `averaged`."""
        raise self.lacks("pooled")


class LinearHead(Head):
    """One linear layer.

    Under `aggregation: pooled`: a normalization, average pooling to 2x2, then one linear layer.
    """

    behaviour: ClassVar[str | None] = "compiler.network.heads:LinearHead"
    type: Literal["linear"] = "linear"

    def normalized(self, features: Extent, pooled: bool) -> Iterator[tuple[Extent, str | None]]:
        """The features, where they are pooled."""
        if pooled:
            yield features, None

    def normalizes(self, pooled: bool) -> bool:
        """Only features that it pools itself."""
        return pooled


class MlpHead(Head):
    """Hidden layers, normalized and activated as the network is, then a linear layer."""

    behaviour: ClassVar[str | None] = "compiler.network.heads:MlpHead"
    type: Literal["mlp"] = "mlp"
    width: Annotated[PositiveInt, Unit("units")] = Field(
        default=1024, description="Width of the hidden layers.", examples=[256]
    )
    layers: PositiveInt = Field(default=3, description="Number of hidden layers.", examples=[1])

    def normalized(self, features: Extent, pooled: bool) -> Iterator[tuple[Extent, str | None]]:
        """Its hidden layers."""
        yield flat(self.width), "width"


class CnnHead(Head):
    """A small convolutional network (Fournier et al. 2023); needs `aggregation: pooled`.

    A 1x1 convolution and three 3x3 convolutions of stride 2, each normalized and activated as the
    network is, then average pooling to 2x2 and a linear layer.
    """

    behaviour: ClassVar[str | None] = "compiler.network.heads:CnnHead"
    reads_grid: ClassVar[str] = "a convolution reads the grid"
    type: Literal["cnn"] = "cnn"
    channels: Annotated[PositiveInt, Unit("channels")] = Field(
        default=32, description="Channels of the convolutions.", examples=[16]
    )

    def normalized(self, features: Extent, pooled: bool) -> Iterator[tuple[Extent, str | None]]:
        """Its convolutions, of which three halve the grid."""
        end = features.grouped(self.channels)
        yield end, "channels"
        for _ in range(3):
            end = slid(3, 2, end)
            yield end, "channels"


class NextBlocksHead(Head):
    """A copy of all later blocks and the classifier, with parameters of its own.

    It needs `aggregation: pooled`. Fournier et al. 2023 use it with a ResNet-18 of 2 blocks.
    """

    behaviour: ClassVar[str | None] = "compiler.network.heads:NextBlocksHead"
    reads_grid: ClassVar[str] = "later blocks read the grid"
    type: Literal["next_blocks"] = "next_blocks"
