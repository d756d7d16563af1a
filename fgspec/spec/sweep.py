"""A sweep file: many specs made of few, by the fields in which they differ."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from fgspec.spec.base import PositiveInt, Section, Seed
from fgspec.spec.experiment import Name, Version

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.\w+|\[\d+\])*$")]
"""A field of a spec, such as optimizer.learning_rate, or an item of a list, such as hidden.0."""

Settings = dict[FieldPath, Any]
Axis = Annotated[tuple[Any, ...], Field(min_length=1)]


class Draw(Section):
    """Where a field's random values come from: a list, or the numbers between two."""

    on_resume: ClassVar = None  # a sweep is no run
    values: Axis | None = Field(default=None, description="One of these, all alike.")
    low: int | float | None = Field(default=None, description="The least number.")
    high: int | float | None = Field(
        default=None, description="The largest; whole if both are whole numbers."
    )
    scale: Literal["linear", "log"] = Field(
        default="linear", description="log: the logarithm is uniform."
    )

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Random(Section):
    """Arms drawn at random, the same ones every time."""

    on_resume: ClassVar = None  # a sweep is no run
    count: PositiveInt = Field(description="How many arms.")
    seed: Seed = Field(default=0, description="Of what is drawn.")
    fields: Annotated[dict[FieldPath, Draw], Field(min_length=1)] = Field(
        description="What each field is drawn from."
    )


class Optuna(Random):
    """Arms that optuna chooses one after the other, from what the earlier ones reached."""

    count: PositiveInt = Field(description="How many arms; a larger count goes on with a search.")
    fields: Annotated[dict[FieldPath, Draw], Field(min_length=1)] = Field(
        description="What each field is chosen from."
    )


def _listed(value: Any) -> Any:
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


class SweepFile(Section):
    """Arms: every base, times `arms`, `grid`, `zip` and `random`; each with every seed.

    Or those of `optuna`, of one base and of nothing else.

    Fields are named by their path, values are those of a spec. What `set` says holds in every arm.
    Single combinations cannot be left out: `arms` names those that are meant.
    """

    on_resume: ClassVar = None  # a sweep is no run
    fgspec: Version = Field(description="Version of the language.")
    name: Name = Field(description="Names the sweep's folder, and its arms' runs.")
    description: str = Field(default="", description="One line for people.")
    base: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)] = Field(
        description="The spec, or list of specs, that arms change; relative to this file."
    )
    set: Settings = Field(default={}, description="Fields of every arm.")
    arms: dict[Name, Settings] = Field(default={}, description="Arms by name, and their fields.")
    grid: dict[FieldPath, Axis] = Field(default={}, description="Every value with every other.")
    zip: dict[FieldPath, Axis] = Field(
        default={}, description="Lists of one length; first values together, then second ones."
    )
    random: Random | None = Field(default=None, description="Arms drawn at random.")
    optuna: Optuna | None = Field(
        default=None,
        description="Arms that optuna chooses by the metric that runs are selected by: the mean "
        "over seeds of the objective's headline, of the validation set if there is one.",
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        default=(0,), description="Every arm runs with each: the same for all, so runs are pairs."
    )
