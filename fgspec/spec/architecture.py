"""`architecture:` the network whose blocks are trained."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveFloat, PositiveInt, Section
from fgspec.spec.kinds import Kind, table
from fgspec.spec.layer import ChainLayer, FullLayer

Placement = Literal["begin_block", "before_linear", "after_linear"]
"""Where a normalization stands (Ren et al. 2022, table 6)."""


class Normalization(Section):
    """Normalization without affine parameters (Ren et al. 2022, section 5)."""

    type: Literal["none", "local_layer_norm", "layer_norm", "batch_norm"] = Field(
        default="local_layer_norm",
        description="local_layer_norm: over the channels of one patch, and of one group at a "
        "grouped layer. layer_norm: over patches and channels of one example. batch_norm: over "
        "batch and patches of one channel; evaluation takes running statistics, of which 0.9 "
        "remains after every step. none: no normalization.",
    )
    placement: tuple[Placement, ...] = Field(
        default=("before_linear", "after_linear"),
        description="Any of begin_block, before_linear, after_linear (Ren et al. 2022, table 6).",
    )
    readout: bool = Field(
        default=True,
        description="Also normalize what local heads read (per group under local_layer_norm) "
        "and, after averaging over patches, what the classifier reads.",
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


class ConvNormalization(Section):
    """Normalization after every convolution, before its activation."""

    type: Literal["none", "batch_norm", "layer_norm", "group_norm"] = Field(
        default="batch_norm",
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


Initialization = Literal["kaiming", "lecun", "normal", "kaiming_uniform"]
_INITIALIZATION = (
    "Initial weights. Normal with the standard deviation min(2/sqrt(fan_in), 0.1) for kaiming, "
    "min(1/sqrt(fan_in), 0.1) for lecun, 0.1 for normal, with zero biases and a zero classifier. "
    "kaiming_uniform: uniform between -sqrt(6/fan_in) and sqrt(6/fan_in), all biases 0.01."
)


ARCHITECTURES = table("architecture", "architectures")


class Architecture(Kind):
    """The network."""

    table: ClassVar = ARCHITECTURES


class Stage(Section):
    """Further blocks of a LocalMixer, whose first makes the grid of patches coarser."""

    blocks: PositiveInt = Field(default=1, description="Blocks of the stage.")
    downsample: PositiveInt = Field(
        default=2, description="By which its first block divides the patches per side (averages)."
    )
    channel_ratio: PositiveInt = Field(
        default=1, description="By which it multiplies the channels."
    )
    group_ratio: PositiveInt = Field(default=1, description="By which it multiplies the groups.")


class LocalMixer(Architecture):
    """The network of Ren et al. 2022: token mixing, channel mixing, grouped channel mixing."""

    type: Literal["local_mixer"] = "local_mixer"
    blocks: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=4, description="Blocks; the first has no token mixing."
    )
    patches: PositiveInt = Field(
        default=8, description="Patches per side; there are patches^2 tokens."
    )
    channels: PositiveInt = Field(default=512, description="Channels of every token.")
    groups: PositiveInt = Field(
        default=16, description="Channel groups of the last layer of a block."
    )
    hidden: PositiveInt | None = Field(
        default=None,
        description="Channels between the two channel layers of a block. Default: channels.",
    )
    token_mixing: Literal["dense", "depthwise"] = Field(
        default="dense",
        description="dense: one linear layer over all tokens. depthwise: a 3x3 convolution of "
        "every channel, the same at all tokens.",
    )
    stages: tuple[Stage, ...] = Field(
        default=(),
        description="Stages after the one of blocks, channels and groups. The first block of a "
        "stage has no residual where it changes channels or groups.",
    )
    normalization: Normalization = Field(
        default=Normalization(), description="Normalization of every linear layer."
    )
    initialization: Initialization = Field(default="kaiming", description=_INITIALIZATION)


class Mlp(Architecture):
    """A multi-layer perceptron on flattened images; every hidden layer is one block."""

    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(256, 256), description="Width of each hidden layer."
    )
    bias: bool = Field(default=True, description="Whether the hidden layers have a bias.")
    normalization: Normalization = Field(
        default=Normalization(type="none"), description="Normalization of every hidden layer."
    )
    initialization: Initialization = Field(default="kaiming", description=_INITIALIZATION)


class ConvNet(Architecture):
    """Convolutions in a row, 3x3, normalized, ReLU; every convolution is one block."""

    type: Literal["conv_net"] = "conv_net"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(64, 64, 128, 128, 256, 256), description="Channels of each convolution."
    )
    downsample: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="Convolutions of stride 2, counted from 0."
    )
    normalization: ConvNormalization = Field(
        default=ConvNormalization(), description="Normalization of every convolution."
    )
    initialization: Initialization = Field(default="kaiming_uniform", description=_INITIALIZATION)


class Resnet18(Architecture):
    """ResNet-18 cut into blocks (He et al. 2016; Fournier et al. 2023).

    8 blocks are its basic blocks, the stem in the first. 2 blocks are the stem with the two basic
    blocks of 64 channels, and the two of 128. 16 blocks are convolutions without residuals, the
    first two in one block.
    """

    type: Literal["resnet18"] = "resnet18"
    blocks: Literal[2, 8, 16] = Field(
        default=8,
        description="8: one basic block each. 2: two basic blocks each, 64 and 128 channels. 16: "
        "convolutions without residuals.",
    )
    stem: Literal["cifar", "imagenet"] = Field(
        default="cifar",
        description="cifar: a 3x3 convolution. imagenet: 7x7 with stride 2, then max pooling.",
    )
    width: PositiveFloat = Field(default=1.0, description="Multiplies the channels.")
    normalization: ConvNormalization = Field(
        default=ConvNormalization(), description="Normalization of every convolution."
    )
    initialization: Initialization = Field(default="kaiming_uniform", description=_INITIALIZATION)


class Chain(Architecture):
    """Blocks of your own, each a list of layers."""

    type: Literal["chain"] = "chain"
    blocks: Annotated[
        tuple[Annotated[tuple[ChainLayer, ...], Field(min_length=1)], ...], Field(min_length=1)
    ] = Field(
        default=((FullLayer(),),), description="Each block as a list of layers, from first to last."
    )
    patches: PositiveInt | None = Field(
        default=None, description="Patches per side of the image. Default: every pixel is one."
    )
    normalization: ConvNormalization = Field(
        default=ConvNormalization(type="none"), description="What normalize stands for in layers."
    )
    initialization: Initialization = Field(default="kaiming_uniform", description=_INITIALIZATION)
