"""`optimizer:` how an estimate of the gradient becomes a step."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)
from fgspec.spec.kinds import Kind, OneOf, table

OPTIMIZERS = table("optimizer", "optimizers")
SCHEDULES = table("schedule", "schedules")


class Schedule(Kind):
    """The learning rate over the run."""

    table: ClassVar = SCHEDULES


class Constant(Schedule):
    """The learning rate as it is."""

    type: Literal["constant"] = "constant"


class Linear(Schedule):
    """From the learning rate down to `end_factor` times it at the last step."""

    type: Literal["linear"] = "linear"
    end_factor: Fraction = Field(
        default=0.0, description="Fraction of the learning rate at the end."
    )


class Staircase(Schedule):
    """Multiplied by `factor` after every so many epochs."""

    type: Literal["staircase"] = "staircase"
    every_epochs: PositiveInt = Field(default=30, description="Epochs between two drops.")
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Multiplier of a drop."
    )


class WarmupCosine(Schedule):
    """Linear from 0 during the warm-up, then half a cosine down to `end_factor` times the rate."""

    type: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_epochs: NonNegativeInt = Field(default=10, description="Epochs of warm-up.")
    end_factor: Fraction = Field(
        default=0.0, description="Fraction of the learning rate at the end."
    )


class Factors(Section):
    """Multipliers of the learning rate for readouts, which train on their exact gradient."""

    heads: NonNegativeFloat = Field(default=1.0, description="For the heads of local losses.")
    classifier: NonNegativeFloat = Field(default=1.0, description="For the final classifier.")


class Optimizer(Kind):
    """How an estimate of the gradient becomes a step."""

    table: ClassVar = OPTIMIZERS
    moments: ClassVar[int] = 1
    learning_rate: PositiveFloat = Field(
        default=0.01, description="Peak learning rate, per update."
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.0, description="Acts on weights only, never on biases."
    )
    schedule: Annotated[Schedule, OneOf(SCHEDULES)] = Field(
        default=Constant(), description="Learning rate over the run."
    )
    factors: Factors = Field(
        default=Factors(), description="Separate rates for heads and classifier."
    )


class Sgd(Optimizer):
    """Stochastic gradient descent; weight decay is added to the gradient."""

    type: Literal["sgd"] = "sgd"
    momentum: Fraction = Field(default=0.9, description="Decay of the accumulated gradient.")
    nesterov: bool = Field(default=False, description="Look ahead along the momentum.")


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""

    moments: ClassVar[int] = 2
    type: Literal["adam"] = "adam"
    beta1: Fraction = Field(default=0.9, description="Decay of the first moment.")
    beta2: Fraction = Field(default=0.999, description="Decay of the second moment.")
    epsilon: PositiveFloat = Field(
        default=1e-8, description="Added to the root of the second moment."
    )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    type: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]


class Lars(Optimizer):
    """Layer-wise adaptive rates for large batches (You et al. 2017)."""

    type: Literal["lars"] = "lars"
    momentum: Fraction = Field(default=0.9, description="Decay of the accumulated update.")
    trust_coefficient: PositiveFloat = Field(default=0.001, description="Scale of the trust ratio.")
