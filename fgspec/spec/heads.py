"""Heads: auxiliary networks between a block and its local loss, one class each."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume
from fgspec.spec.kinds import Kind, table

HEADS = table("head", "heads")


class Head(Kind):
    """What turns the features after a block into the outputs of its local loss.

    Attributes:
        reads_grid: why it cannot read features averaged over patches, if so.
    """

    table: ClassVar = HEADS
    on_resume: ClassVar = Resume.FIXED
    reads_grid: ClassVar[str] = ""

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
    """One linear layer; pooled: normalization, average pooling to 2x2, one linear layer."""

    behaviour: ClassVar[str | None] = "compiler.network.heads:LinearHead"
    type: Literal["linear"] = "linear"


class MlpHead(Head):
    """An auxiliary perceptron: linear layers with batch norm and ReLU, then a linear layer."""

    behaviour: ClassVar[str | None] = "compiler.network.heads:MlpHead"
    type: Literal["mlp"] = "mlp"
    width: PositiveInt = Field(default=1024, description="Width of its hidden layers.")
    layers: PositiveInt = Field(default=3, description="How many hidden layers.")


class CnnHead(Head):
    """An auxiliary convolutional net (Fournier et al. 2023).

    A 1x1 convolution, three 3x3 convolutions of stride 2, each with batch norm and ReLU, average
    pooling to 2x2, a linear layer.
    """

    behaviour: ClassVar[str | None] = "compiler.network.heads:CnnHead"
    reads_grid: ClassVar[str] = "a convolution reads the grid"
    type: Literal["cnn"] = "cnn"
    channels: PositiveInt = Field(default=32, description="Channels of its convolutions.")


class NextBlocksHead(Head):
    """A copy of all later blocks and of the classifier, with parameters of its own."""

    behaviour: ClassVar[str | None] = "compiler.network.heads:NextBlocksHead"
    reads_grid: ClassVar[str] = "later blocks read the grid"
    type: Literal["next_blocks"] = "next_blocks"
