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
    Unit,
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
    """Factors of learning rate and weight decay for some of the parameters."""

    on_resume: ClassVar = Resume.FORKS
    of: Annotated[str, Field(min_length=1)] = Field(
        description="Which parameters: how their paths begin, by whole names, such as `blocks`, "
        "`blocks/block0`, `blocks/block0/channel`, `heads/block0` or `classifier`.",
        examples=["blocks/block0"],
    )
    rate: NonNegativeFloat = Field(
        default=1.0, description="Factor of the learning rate.", examples=[0.1]
    )
    decay: NonNegativeFloat = Field(
        default=1.0, description="Factor of the weight decay.", examples=[0]
    )

    def holds(self, path: str) -> bool:
        """Whether it is about the parameter at a path."""
        return f"{path}/".startswith(f"{self.of}/")


class Factors(Section):
    """Factors of the learning rate for heads, classifier and other parts of the network."""

    on_resume: ClassVar = Resume.FORKS
    heads: NonNegativeFloat = Field(
        default=1.0,
        description="Factor of the learning rate of the heads of local losses.",
        examples=[0.1],
    )
    classifier: NonNegativeFloat = Field(
        default=1.0,
        description="Factor of the learning rate of the final classifier.",
        examples=[0.1],
    )
    # Blocks that are scanned together have the same factors, so these shape the state.
    parts: Annotated[tuple[PartFactors, ...], Resume.FIXED] = Field(
        default=(),
        description="Factors for blocks, layers or any other part by name. Where several hold of a "
        "parameter they are multiplied, with `heads` and `classifier` too. Blocks with different "
        "factors are compiled one by one.",
        examples=[[{"of": "blocks/block0", "rate": 0.1}]],
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
    """A moving average of the parameters, by which the model is evaluated and used."""

    on_resume: ClassVar = Resume.FORKS
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.999,
        description="After every step, the average becomes decay * average + (1 - decay) * "
        "parameters. It starts at the initial parameters.",
        examples=[0.99],
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
        default=0.01,
        description="The learning rate, which sets the size of a step. With a schedule it is the "
        "largest rate of the run.",
        examples=[0.05],
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.0,
        description="How strongly weights are pulled to zero. Biases, scales and shifts are not.",
        examples=[5e-4],
    )
    schedule: Annotated[Schedule, OneOf(SCHEDULES)] = Field(
        default=Constant(), description="How the learning rate changes over the run."
    )
    clip: Annotated[Clipping, OneOf(CLIPPINGS, named=True)] = Field(
        default=NoClipping(),
        description="How large gradients may be. Clipping comes before weight decay and momentum.",
    )
    accumulate: Annotated[PositiveInt, Resume.FIXED, Unit("batches")] = Field(
        default=1,
        description="Number of batches whose mean gradient makes one step of the optimizer. "
        "Updates, epochs, intervals and schedules still count batches; a step takes the learning "
        "rate of its first batch. Batches left over at the end make no step.",
        examples=[4],
    )
    average: Annotated[Average | None, Resume.FIXED] = Field(
        default=None,
        description="Evaluate and use a moving average of the parameters instead of the parameters "
        "that train. Running statistics of `batch_norm` are still those of training. null: no "
        "average.",
        examples=[{"decay": 0.999}],
    )
    factors: Factors = Field(
        default=Factors(),
        description="Factors of the learning rate for heads, classifier and other parts.",
    )
    decay_after_factors: bool = Field(
        default=False,
        description="Whether factors multiply the gradient before weight decay is added, as in the "
        "code of Ren et al. 2022. false: a step is -rate * factor * (gradient + decay * weight). "
        "true: -rate * (factor * gradient + decay * weight); momentum accumulates the sum in "
        "brackets. In `adamw` the factor multiplies Adam's direction. `adam` and `lars` normalize "
        "the sum in brackets, so the factor sets the gradient's share of a step, not its size.",
        examples=[True],
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
    """Stochastic gradient descent with momentum. Weight decay is added to the gradient."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Sgd"
    moments: ClassVar[int] = 1
    type: Literal["sgd"] = "sgd"
    momentum: Fraction = Field(
        default=0.9,
        description="Share of the accumulated gradient that a step keeps. 0: no momentum.",
        examples=[0.0],
    )
    nesterov: bool = Field(
        default=False,
        description="Whether a step looks ahead along the momentum (Nesterov).",
        examples=[True],
    )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015). Weight decay is added to the gradient."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Adam"
    moments: ClassVar[int] = 2
    type: Literal["adam"] = "adam"
    beta1: Fraction = Field(
        default=0.9,
        description="Share of the first moment, the average gradient, that a step keeps.",
        examples=[0.8],
    )
    beta2: Fraction = Field(
        default=0.999,
        description="Share of the second moment, the average squared gradient, that a step keeps.",
        examples=[0.99],
    )
    epsilon: PositiveFloat = Field(
        default=1e-8,
        description="Added to the square root of the second moment that is divided by.",
        examples=[1e-6],
    )


class AdamW(Adam):
    """Adam with decoupled weight decay, added after the moments (Loshchilov and Hutter 2019)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:AdamW"
    moments: ClassVar[int] = 2
    type: Literal["adamw"] = "adamw"  # pyright: ignore[reportIncompatibleVariableOverride]


class Lars(Optimizer):
    """LARS, layer-wise adaptive rates for large batches (You et al. 2017)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.optimizers:Lars"
    moments: ClassVar[int] = 1
    type: Literal["lars"] = "lars"
    momentum: Fraction = Field(
        default=0.9,
        description="Share of the accumulated step that a step keeps. 0: no momentum.",
        examples=[0.0],
    )
    trust_coefficient: PositiveFloat = Field(
        default=0.001,
        description="Factor of the trust ratio: the norm of a weight over that of its gradient.",
        examples=[0.01],
    )
