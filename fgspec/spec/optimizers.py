"""`optimizer:` how an estimate of the gradient becomes a step, one class each."""

from collections.abc import Collection, Iterator
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem, nearest
from fgspec.spec.base import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Resume,
    Section,
)
from fgspec.spec.clippings import CLIPPINGS, Clipping, NoClipping
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import Kind, OneOf, table
from fgspec.spec.losses import Losses
from fgspec.spec.run import Training
from fgspec.spec.schedules import SCHEDULES, Constant, Schedule
from fgspec.yaml.load import Path

OPTIMIZERS = table("optimizer", "optimizers")


class PartFactors(Section):
    """Multipliers of learning rate and weight decay for some of the parameters."""

    on_resume: ClassVar = Resume.FORKS
    of: Annotated[str, Field(min_length=1)] = Field(
        description="What their paths begin with, by whole names: blocks, blocks/block0, "
        "blocks/block0/channel, heads/block0 or classifier; see parameters in fgspec show --plan.",
    )
    rate: NonNegativeFloat = Field(default=1.0, description="Of the learning rate.")
    decay: NonNegativeFloat = Field(default=1.0, description="Of the weight decay.")

    def holds(self, path: str) -> bool:
        """Whether it is about the parameter at a path."""
        return f"{path}/".startswith(f"{self.of}/")


class Factors(Section):
    """Multipliers of the learning rate for readouts, which train on their exact gradient."""

    on_resume: ClassVar = Resume.FORKS
    heads: NonNegativeFloat = Field(default=1.0, description="For the heads of local losses.")
    classifier: NonNegativeFloat = Field(default=1.0, description="For the final classifier.")
    # Blocks that are scanned together have the same factors, so these shape the state.
    parts: Annotated[tuple[PartFactors, ...], Resume.FIXED] = Field(
        default=(),
        description="For blocks, layers or any other part by name, such as [{of: blocks/block0, "
        "rate: 0.1, decay: 0}]. All that hold of a parameter are multiplied, with those above too. "
        "Blocks of different factors are not scanned together.",
    )

    def rate(self, path: str) -> float:
        """That of the learning rate of the parameter at a path, such as `heads/block0/w`."""
        section = path.split("/")[0]
        own = {"heads": self.heads, "classifier": self.classifier}.get(section, 1.0)
        return own * prod(part.rate for part in self.parts if part.holds(path))

    def decay(self, path: str) -> float:
        """That of the weight decay of the parameter at a path."""
        return prod((part.decay for part in self.parts if part.holds(path)), start=1.0)

    def unknown(self, paths: Collection[str]) -> Iterator[tuple[str, str]]:
        """Parts that hold of none of these parameters, each with what is known."""
        names = {"/".join(path.split("/")[:end]) for path in paths for end in range(1, 4)}
        for part in self.parts:
            if not any(map(part.holds, paths)):
                yield part.of, nearest(part.of, sorted(names))


class Average(Section):
    """A moving average of the parameters, which the model is evaluated and used with."""

    on_resume: ClassVar = Resume.FORKS
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.999,
        description="After every step the average is decay * average + (1 - decay) * parameters; "
        "it begins at the initial parameters.",
    )


class Optimizer(Kind):
    """How an estimate of the gradient becomes a step.

    A step is made by optax transformations in a row: those of `clip`, those of `before_rate`, the
    learning rate of the schedule with a minus sign, those of `after_rate`, and the factors of the
    readouts. All but the first treat every array by itself, so that blocks may be updated one by
    one or stacked.

    Attributes:
        moments: arrays of the shape of each parameter that it keeps from step to step.
    """

    table: ClassVar = OPTIMIZERS
    on_resume: ClassVar = Resume.FORKS
    moments: ClassVar[int]
    learning_rate: PositiveFloat = Field(
        default=0.01, description="Peak learning rate, per update."
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.0, description="Acts on weights only, never on biases."
    )
    schedule: Annotated[Schedule, OneOf(SCHEDULES)] = Field(
        default=Constant(), description="Learning rate over the run."
    )
    clip: Annotated[Clipping, OneOf(CLIPPINGS, named=True)] = Field(
        default=NoClipping(), description="How large a gradient may be, before anything else."
    )
    accumulate: Annotated[PositiveInt, Resume.FIXED] = Field(
        default=1,
        description="Batches whose mean gradient makes one step of the optimizer. Updates, epochs, "
        "intervals and schedules count batches all the same; a step takes the learning rate of its "
        "first batch. What is left over at the end of the run makes no step.",
    )
    average: Annotated[Average | None, Resume.FIXED] = Field(
        default=None,
        description="Evaluate and use the moving average of the parameters, {decay: 0.999}, "
        "instead of the parameters that train; null: there is none. Running statistics of "
        "batch_norm are those of training.",
    )
    factors: Factors = Field(
        default=Factors(), description="Separate rates for heads and classifier."
    )
    decay_after_factors: bool = Field(
        default=False,
        description="Weight decay after the factors of heads and classifier, as the code of "
        "Ren et al. has it. false: a step is -rate * factor * (gradient + decay * weight). true: "
        "-rate * (factor * gradient + decay * weight); a momentum accumulates what is in brackets. "
        "In adamw the factor multiplies Adam's direction. adam and lars normalize the sum in "
        "brackets, so that there the factor sets the share of the gradient in a step, not its "
        "size.",
    )

    @property
    def arrays(self) -> int:
        """Arrays of the shape of each parameter that a run keeps beside it."""
        return self.moments + (self.average is not None) + (self.accumulate > 1)

    def before_rate(self, decay: Any, weights: Any) -> list[Any]:
        """The optax transformations before the learning rate.

        Args:
            decay: the transformation that adds the decayed weights, where they count as part of
                what it is given; place it where this optimizer adds them.
            weights: parameters -> a tree of booleans, true for weights and false for biases, scales
                and shifts; a mask for `optax.masked`.
        """
        raise self.lacks("before_rate")

    def after_rate(self) -> list[Any]:
        """The optax transformations after the learning rate; none by default."""
        return []

    def problems(self, at: Path, losses: Losses) -> Iterator[Problem]:
        """A factor for heads needs heads, and an order needs two things to put in order."""
        headless = losses.local is None and losses.objective.answers
        if headless and self.factors.heads != Factors().heads:
            message = "never read: there are no local losses, so no heads; remove it"
            yield Problem((*at, "factors", "heads"), message)
        for index, part in enumerate(self.factors.parts):
            place: Path = (*at, "factors", "parts", index)
            if part.of in [other.of for other in self.factors.parts[:index]]:
                yield Problem((*place, "of"), "is there twice; give one of them")
            if part.decay != 1 and not self.weight_decay:
                message = "never read: there is no weight decay; remove it"
                yield Problem((*place, "decay"), message)
        if self.accumulate > 1 and self.clip.whole:
            message = (
                f"{self.clip} clips the gradient of each batch, not their mean; use block_norm"
            )
            yield Problem((*at, "clip", "type"), message, others=((*at, "accumulate"),))
        if self.decay_after_factors and not self.weight_decay:
            message = "never read: there is no weight decay; remove it"
            yield Problem((*at, "decay_after_factors"), message)
        elif self.decay_after_factors and self.factors == Factors():
            message = "never read: the factors of heads and classifier are 1; remove it"
            yield Problem((*at, "decay_after_factors"), message)

    def data_problems(
        self, at: Path, info: DatasetInfo, data: Data, training: Training
    ) -> Iterator[Problem]:
        """At least one step is made."""
        steps = training.steps or (training.epochs or 0) * (info.train_examples // data.batch_size)
        if self.accumulate > max(steps, 1):
            message = f"must be at most the {steps} batches of the run, or no step is made"
            yield Problem((*at, "accumulate"), message)


class Sgd(Optimizer):
    """Stochastic gradient descent; weight decay is added to the gradient."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Sgd"
    moments: ClassVar[int] = 1
    type: Literal["sgd"] = "sgd"
    momentum: Fraction = Field(default=0.9, description="Decay of the accumulated gradient.")
    nesterov: bool = Field(default=False, description="Look ahead along the momentum.")


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Adam"
    moments: ClassVar[int] = 2
    type: Literal["adam"] = "adam"
    beta1: Fraction = Field(default=0.9, description="Decay of the first moment.")
    beta2: Fraction = Field(default=0.999, description="Decay of the second moment.")
    epsilon: PositiveFloat = Field(
        default=1e-8, description="Added to the root of the second moment."
    )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:AdamW"
    moments: ClassVar[int] = 2
    type: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]


class Lars(Optimizer):
    """Layer-wise adaptive rates for large batches (You et al. 2017)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Lars"
    moments: ClassVar[int] = 1
    type: Literal["lars"] = "lars"
    momentum: Fraction = Field(default=0.9, description="Decay of the accumulated update.")
    trust_coefficient: PositiveFloat = Field(default=0.001, description="Scale of the trust ratio.")
