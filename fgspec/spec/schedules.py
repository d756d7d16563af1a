"""`optimizer.schedule:` the learning rate over the run, one class each."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import Fraction, NonNegativeInt, PositiveInt, Resume
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
    """The learning rate as it is."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Constant"
    type: Literal["constant"] = "constant"


class Linear(Schedule):
    """From the learning rate down to `end_factor` times it at the last step."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Linear"
    type: Literal["linear"] = "linear"
    end_factor: Fraction = Field(
        default=0.0, description="Fraction of the learning rate at the end."
    )


class Staircase(Schedule):
    """Multiplied by `factor` after every so many epochs."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Staircase"
    type: Literal["staircase"] = "staircase"
    every_epochs: PositiveInt = Field(default=30, description="Epochs between two drops.")
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Multiplier of a drop."
    )


class MultiStep(Schedule):
    """Multiplied by `factor` after each of these epochs."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:MultiStep"
    type: Literal["multi_step"] = "multi_step"
    at_epochs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        default=(30, 60, 80), description="Epochs after which the rate drops, ascending."
    )
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="Multiplier of a drop."
    )

    def problems(self, at: Path) -> Iterator[Problem]:
        """Every drop comes after the one before."""
        if list(self.at_epochs) != sorted(set(self.at_epochs)):
            yield Problem((*at, "at_epochs"), "must ascend, such as [30, 60, 80]")


class Exponential(Schedule):
    """Multiplied by `factor` in the course of every epoch, a little at each update."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Exponential"
    type: Literal["exponential"] = "exponential"
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.95, description="Multiplier over an epoch."
    )


class Cosine(Schedule):
    """Half a cosine down to `end_factor` times the rate at the last step."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:Cosine"
    type: Literal["cosine"] = "cosine"
    end_factor: Fraction = Field(
        default=0.0, description="Fraction of the learning rate at the end."
    )


class OneCycle(Schedule):
    """Half a cosine up to the learning rate, then one down, below the start (Smith 2018)."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:OneCycle"
    type: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.3, description="Share of the run in which the rate rises."
    )
    start_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.04, description="Fraction of the learning rate at the start."
    )
    end_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=4e-6, description="Fraction of the learning rate at the end."
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
    """Linear from 0 during the warm-up, then half a cosine down to `end_factor` times the rate."""

    behaviour: ClassVar[str | None] = "compiler.optimizers.schedules:WarmupCosine"
    type: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_epochs: NonNegativeInt = Field(default=10, description="Epochs of warm-up.")
    end_factor: Fraction = Field(
        default=0.0, description="Fraction of the learning rate at the end."
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
