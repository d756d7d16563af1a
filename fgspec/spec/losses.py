"""`losses:` what is minimised, where the losses sit, and what is isolated from what."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Section
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.objectives import OBJECTIVES, CrossEntropy, Objective

LossAxis = Literal["patch", "group"]
"""A named axis that a local loss can be replicated over, besides the batch."""


HEADS = table("head", "heads")


class Head(Kind):
    """What turns the features after a block into the outputs of its local loss."""

    table: ClassVar = HEADS


class LinearHead(Head):
    """One linear layer; pooled: normalization, average pooling to 2x2, one linear layer."""

    type: Literal["linear"] = "linear"


class MlpHead(Head):
    """An auxiliary perceptron: linear layers with batch norm and ReLU, then a linear layer."""

    type: Literal["mlp"] = "mlp"
    width: PositiveInt = Field(default=1024, description="Width of its hidden layers.")
    layers: PositiveInt = Field(default=3, description="How many hidden layers.")


class CnnHead(Head):
    """An auxiliary convolutional net (Fournier et al. 2023).

    A 1x1 convolution, three 3x3 convolutions of stride 2, each with batch norm and ReLU, average
    pooling to 2x2, a linear layer.
    """

    type: Literal["cnn"] = "cnn"
    channels: PositiveInt = Field(default=32, description="Channels of its convolutions.")


class NextBlocksHead(Head):
    """A copy of all later blocks and of the classifier, with parameters of its own."""

    type: Literal["next_blocks"] = "next_blocks"


class Local(Section):
    """Local losses, one after every so many blocks."""

    every: PositiveInt = Field(default=1, description="A loss after every so many blocks.")
    last: Literal["local", "final"] | None = Field(
        default=None,
        description="What closes the last block. local: a local loss like the others; the final "
        "classifier reads stopped features (Ren et al. 2022). final: the final loss (Fournier et "
        "al. 2023). Default: final where guesses are made from the network, else local.",
    )
    replicate: tuple[LossAxis, ...] | None = Field(
        default=None,
        description="Axes that each loss is replicated over: any of patch, group; each copy lets "
        "through the gradient of its own features only (Ren et al. 2022, equations 4 and 5). "
        "Default: every axis the architecture has. Only forward estimators read it: summed over "
        "its copies, the exact gradient is the same.",
    )
    aggregation: Literal["replicated", "pooled"] = Field(
        default="replicated",
        description="replicated: the head reads features averaged over patches and concatenated "
        "over groups. pooled: it reads all positions and does its own pooling (to 2x2 but for "
        "next_blocks), and the loss has no copies.",
    )
    head: Annotated[Head, OneOf(HEADS)] = Field(
        default=LinearHead(), description="What turns features into the loss's outputs."
    )


class Losses(Section):
    """What is minimised and where."""

    objective: Annotated[Objective, OneOf(OBJECTIVES)] = Field(
        default=CrossEntropy(), description="The loss of every site."
    )
    local: Local | None = Field(
        default=None, description="Local losses; without them there is only the final loss."
    )
    isolate: Literal["none", "block", "layer"] = Field(
        default="none",
        description="Where gradients stop: nowhere, between the blocks that end in a local loss "
        "(greedy), or between all layers (direct feedback).",
    )
