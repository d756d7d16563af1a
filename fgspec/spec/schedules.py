"""`optimizer.schedule:` the learning rate over the run, one class each."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import Fraction, NonNegativeInt, PositiveInt, Resume, Unit
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import Kind, table
from fgspec.spec.run import Training
from fgspec.yaml.load import Path

SCHEDULES = table("schedule", "schedules")


class Schedule(Kind):
    """The learning rate over the run."""

    table: ClassVar = SCHEDULES
    on_resume: ClassVar = Resume.FORKS

    def rate(self, peak: float, steps: int, per_epoch: int) -> Any:
        """An optax schedule: a function from the updates already done to the learning rate, >= 0.

        It is called with a JAX integer inside the compiled update.

        Args:
            peak: `optimizer.learning_rate`, the largest rate of the run.
            steps: updates of the whole run.
            per_epoch: updates of one epoch.
        """
        raise self.lacks("rate")


class Constant(Schedule):
    """The learning rate stays as it is."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Constant"
    type: Literal["constant"] = "constant"


class Linear(Schedule):
    """A straight line from the learning rate down to `end_factor` times it at the last update."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Linear"
    type: Literal["linear"] = "linear"
    end_factor: Fraction = Field(
        default=0.0,
        description="The rate at the end, as a fraction of `learning_rate`.",
        examples=[0.1],
    )


class Staircase(Schedule):
    """The rate is multiplied by `factor` after every `every_epochs` epochs."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Staircase"
    type: Literal["staircase"] = "staircase"
    every_epochs: Annotated[PositiveInt, Unit("epochs")] = Field(
        default=30, description="Time between two drops.", examples=[20]
    )
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="What a drop multiplies the rate by.", examples=[0.5]
    )


class MultiStep(Schedule):
    """The rate is multiplied by `factor` after each of the epochs `at_epochs`."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:MultiStep"
    type: Literal["multi_step"] = "multi_step"
    at_epochs: Annotated[tuple[PositiveInt, ...], Field(min_length=1), Unit("epochs")] = Field(
        default=(30, 60, 80),
        description="When the rate drops: epochs in ascending order.",
        examples=[[50, 75]],
    )
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="What a drop multiplies the rate by.", examples=[0.5]
    )

    def problems(self, at: Path) -> Iterator[Problem]:
        """Every drop comes after the one before."""
        if list(self.at_epochs) != sorted(set(self.at_epochs)):
            yield Problem((*at, "at_epochs"), "must ascend, such as [30, 60, 80]")


class Exponential(Schedule):
    """The rate falls by `factor` over each epoch, a little at every update."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Exponential"
    type: Literal["exponential"] = "exponential"
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.95, description="What an epoch multiplies the rate by.", examples=[0.9]
    )


class Cosine(Schedule):
    """Half a cosine down to `end_factor` times the learning rate at the last update."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Cosine"
    type: Literal["cosine"] = "cosine"
    end_factor: Fraction = Field(
        default=0.0,
        description="The rate at the end, as a fraction of `learning_rate`.",
        examples=[0.1],
    )


class OneCycle(Schedule):
    """Half a cosine up to the learning rate, then one down, below the start (Smith 2018)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:OneCycle"
    type: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.3, description="Share of the run during which the rate rises.", examples=[0.1]
    )
    start_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.04,
        description="The rate at the start, as a fraction of `learning_rate`.",
        examples=[0.1],
    )
    end_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=4e-6,
        description="The rate at the end, as a fraction of `learning_rate`.",
        examples=[0.001],
    )

    def data_problems(
        self, at: Path, info: DatasetInfo, data: Data, training: Training
    ) -> Iterator[Problem]:
        """At least one update is made while the rate rises."""
        per_epoch = info.train_examples // data.batch_size
        steps = training.steps or (training.epochs or 0) * per_epoch
        if int(self.rise * steps) < 1:
            yield Problem((*at, "rise"), f"must be at least one of the run's {steps} updates")


class WarmupCosine(Schedule):
    """A straight line up from 0, the warm-up, then half a cosine down to `end_factor` times it."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:WarmupCosine"
    type: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_epochs: Annotated[NonNegativeInt, Unit("epochs")] = Field(
        default=10, description="Length of the warm-up.", examples=[5]
    )
    end_factor: Fraction = Field(
        default=0.0,
        description="The rate at the end, as a fraction of `learning_rate`.",
        examples=[0.1],
    )

    def problems(self, at: Path, training: Training) -> Iterator[Problem]:
        """The warm-up ends before a run that counts epochs does."""
        if training.epochs is not None and self.warmup_epochs >= training.epochs:
            message, epochs = "must be fewer than the run's", ("training", "epochs")
            yield Problem((*at, "warmup_epochs"), message, others=(epochs,))

    def data_problems(
        self, at: Path, info: DatasetInfo, data: Data, training: Training
    ) -> Iterator[Problem]:
        """The warm-up ends before a run that counts steps does."""
        per_epoch = info.train_examples // data.batch_size
        if training.steps is not None and 0 < training.steps <= self.warmup_epochs * per_epoch:
            message = f"must end before the run does; an epoch has {per_epoch} updates"
            yield Problem((*at, "warmup_epochs"), message, others=(("training", "steps"),))
