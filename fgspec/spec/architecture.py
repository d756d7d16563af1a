"""`architecture:` the network whose blocks are trained."""

from typing import Annotated, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Section

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


Initialization = Literal["kaiming", "lecun", "normal"]
_INITIALIZATION = (
    "Standard deviation of the normal initial weights: kaiming min(2/sqrt(fan_in), "
    "0.1), lecun min(1/sqrt(fan_in), 0.1), normal 0.1. Biases and the classifier are zero."
)


class LocalMixer(Section):
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
    token_mixing: Literal["dense", "depthwise"] = Field(
        default="dense",
        description="dense: one linear layer over all tokens. depthwise: a 3x3 convolution.",
    )
    normalization: Normalization = Field(
        default=Normalization(), description="Normalization of every linear layer."
    )
    initialization: Initialization = Field(default="kaiming", description=_INITIALIZATION)


class Mlp(Section):
    """A multi-layer perceptron on flattened images; every hidden layer is one block."""

    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(256, 256), description="Width of each hidden layer."
    )
    normalization: Normalization = Field(
        default=Normalization(type="none"), description="Normalization of every hidden layer."
    )
    initialization: Initialization = Field(default="kaiming", description=_INITIALIZATION)


Architecture = Annotated[LocalMixer | Mlp, Field(discriminator="type")]
