"""A sweep file: many specs made of few, by the fields in which they differ."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from fgspec.spec.base import PositiveInt, Section, Seed, Unit, Values
from fgspec.spec.baselines import BASELINES, Baseline
from fgspec.spec.experiment import Name, Version
from fgspec.spec.kinds import OneOf

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.\w+|\[\d+\])*$")]
"""A field of a spec, such as optimizer.learning_rate, or an item of a list, such as hidden.0."""

Settings = dict[FieldPath, Any]
Axis = Annotated[tuple[Any, ...], Field(min_length=1)]


class Draw(Section):
    """What a field is drawn from: one of `values`, or a number from `low` to `high`."""

    on_resume: ClassVar = None  # a sweep is no run
    values: Axis | None = Field(
        default=None,
        description="One of these is drawn, each equally "
        "likely. null: give `low` and `high` instead.",
    )
    low: int | float | None = Field(
        default=None,
        description="The smallest number that can be drawn. null: give `values` instead.",
        examples=[0.01],
    )
    high: int | float | None = Field(
        default=None,
        description="The largest number that can be drawn. Whole numbers are drawn if `low` and "
        "`high` are both whole. null: give `values` instead.",
        examples=[0.1],
    )
    scale: Annotated[
        Literal["linear", "log"],
        Values(
            {
                "linear": "All numbers are equally likely.",
                "log": "The logarithm is uniform: 0.01 to 0.1 is as likely as 0.1 to 1.",
            }
        ),
    ] = Field(
        default="linear",
        description="How numbers between `low` and `high` are distributed.",
    )

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Random(Section):
    """Arms whose fields are drawn at random; the same `seed` draws the same arms."""

    on_resume: ClassVar = None  # a sweep is no run
    count: Annotated[PositiveInt, Unit("arms")] = Field(
        description="How many arms are drawn.", examples=[20]
    )
    seed: Seed = Field(
        default=0,
        description="The seed of the draws. It is not the seed of the runs.",
        examples=[1],
    )
    fields: Annotated[dict[FieldPath, Draw], Field(min_length=1)] = Field(
        description="The fields that are drawn, by path, and what each is drawn from.",
        examples=[
            {"optimizer.learning_rate": {"low": 0.01, "high": 0.1, "scale": "log"}},
            {"architecture.channels": {"values": [64, 128, 256]}},
        ],
    )


class Optuna(Random):
    """Arms that optuna chooses one after the other, from what the earlier ones reached."""

    count: Annotated[PositiveInt, Unit("arms")] = Field(
        description="How many arms are tried. A larger count continues a search that has ended.",
        examples=[16],
    )
    seed: Seed = Field(
        default=0,
        description="The seed of optuna's choices. It is not the seed of the runs.",
        examples=[1],
    )
    fields: Annotated[dict[FieldPath, Draw], Field(min_length=1)] = Field(
        description="The fields that are searched, by path, and what each is chosen from.",
        examples=[{"optimizer.learning_rate": {"low": 0.001, "high": 1.0, "scale": "log"}}],
    )


def _listed(value: Any) -> Any:
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


class SweepFile(Section):
    """A sweep file: many specs, called arms, made from one or a few.

    The arms are all combinations of a base with an entry of `arms`, a combination of `grid`, a row
    of `zip` and a draw of `random`. Each is trained with every seed. Fields are named by their
    path, such as `optimizer.learning_rate`. To leave out single combinations, list the others in
    `arms`.

    With `optuna` there is one base and none of these: optuna chooses the arms.

    Beside each arm stand its `baselines`, which are arms, too.
    """

    on_resume: ClassVar = None  # a sweep is no run
    fgspec: Version = Field(
        description="The version of the language that the file is written in; always 1.",
        examples=[1],
    )
    name: Name = Field(
        description="The name of the sweep; its folder and its runs are named by it.",
        examples=["rates"],
    )
    description: str = Field(
        default="",
        description="What the sweep is about, in one line.",
        examples=["Which learning rate suits which rule"],
    )
    base: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)] = Field(
        description="The spec, or the list of specs, that arms change: paths relative to this "
        "file.",
        examples=["base.yaml"],
    )
    set: Settings = Field(
        default={},
        description="Fields that are set in every arm, by path.",
        examples=[{"training.epochs": 30}],
    )
    arms: dict[Name, Settings] = Field(
        default={},
        description="Arms by name, each with the fields that it sets.",
        examples=[
            {"small": {"architecture.channels": 64}, "large": {"architecture.channels": 256}}
        ],
    )
    grid: dict[FieldPath, Axis] = Field(
        default={},
        description="Fields and the values that each takes: one arm for every combination.",
        examples=[{"rule": ["bp", "lg-fg-a"], "optimizer.learning_rate": [0.02, 0.05]}],
    )
    zip: dict[FieldPath, Axis] = Field(
        default={},
        description="Fields and lists of values, all equally long: the first arm takes the first "
        "value of each, the second arm the second, and so on.",
        examples=[{"architecture.channels": [64, 128], "optimizer.learning_rate": [0.05, 0.02]}],
    )
    random: Random | None = Field(default=None, description="Arms drawn at random. null: none.")
    optuna: Optuna | None = Field(
        default=None,
        description="Arms that optuna chooses, by the metric that runs are selected by: the mean "
        "over seeds of the objective's headline, on the validation set if there is one. null: "
        "none.",
    )
    baselines: tuple[Annotated[Baseline, OneOf(BASELINES, default="bp_equal_updates")], ...] = (
        Field(
            default=(),
            description="Baselines that are trained beside every arm. Each is made from the arm's "
            "spec, after `--set`, and replaces what says how the blocks learn. Arms that share a "
            "baseline share its runs.",
            examples=[["linear_probe", "random_blocks", "bp_equal_time"]],
        )
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        default=(0,),
        description="The seeds that every arm is trained with. They are the same for all arms, so "
        "that runs can be compared in pairs.",
        examples=[[0, 1, 2]],
    )
