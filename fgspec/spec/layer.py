"""`architecture.blocks:` of a chain: the layers that a block is made of."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt
from fgspec.spec.kinds import Kind, OneOf, table

LAYERS = table("layer", "layers")

Grid = Annotated[int, Field(ge=1, le=1024)]
Window = Annotated[int, Field(ge=1, le=64)]


class Layer(Kind):
    """What every layer has."""

    table: ClassVar = LAYERS

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)] | None = Field(
        default=None,
        description="By which others name it. Default: its type and place, such as conv0.",
    )
    source: str | None = Field(
        default=None,
        description="The layer of the block whose output it reads, or input for the block's input. "
        "Default: the one before.",
    )
    adds: tuple[str, ...] = Field(
        default=(),
        description="Layers of the block (or input) whose outputs are added before the activation.",
    )
    activation: Literal["relu", "none"] = Field(default="relu", description="What follows.")


class _Trained(Layer):
    """What layers with parameters have besides."""

    normalize: bool = Field(
        default=True, description="Whether the chain's normalization follows the linear map."
    )
    bias: bool | None = Field(
        default=None,
        description="Whether the linear map has a bias. Default: where no learnt shift follows.",
    )


class DenseLayer(_Trained):
    """A linear map of the channels of each position."""

    type: Literal["dense"] = "dense"
    channels: PositiveInt = Field(default=64, description="Channels that it gives.")
    groups: PositiveInt = Field(default=1, description="Groups that these fall into.")


class GroupedLayer(_Trained):
    """A linear map of the channels of each position and each group by itself."""

    type: Literal["grouped"] = "grouped"
    channels: PositiveInt = Field(default=64, description="Channels that it gives, of all groups.")


class FullLayer(_Trained):
    """A linear map of all positions and channels together; one position is left."""

    type: Literal["full"] = "full"
    channels: PositiveInt = Field(default=64, description="Channels that it gives.")


class ConvLayer(_Trained):
    """A convolution over the grid of positions, all channels to all."""

    type: Literal["conv"] = "conv"
    channels: PositiveInt = Field(default=64, description="Channels that it gives.")
    size: Window = Field(default=3, description="Side of its window.")
    stride: PositiveInt = Field(default=1, description="Positions between windows.")


class DepthwiseLayer(_Trained):
    """A convolution over the grid of positions, every channel by itself."""

    type: Literal["depthwise"] = "depthwise"
    size: Window = Field(default=3, description="Side of its window.")
    stride: PositiveInt = Field(default=1, description="Positions between windows.")


class _Pool(Layer):
    """What poolings have besides."""

    activation: Literal["relu", "none"] = Field(default="none", description="What follows.")


class MaxPoolLayer(_Pool):
    """The largest value in every window."""

    type: Literal["max_pool"] = "max_pool"
    size: Window = Field(default=3, description="Side of its window.")
    stride: PositiveInt = Field(default=2, description="Positions between windows.")


class AveragePoolLayer(_Pool):
    """Averages over equal parts of the grid."""

    type: Literal["average_pool"] = "average_pool"
    grid: tuple[Grid, Grid] = Field(
        default=(1, 1), description="Rows and columns of positions that are left."
    )


ChainLayer = Annotated[Layer, OneOf(LAYERS)]
