"""Lets optuna choose the next arms of a sweep from the results of earlier ones.

The choices of a search are a list in the sweep's folder, and their results are in the metrics of
the runs. The next choice depends on nothing else. So a search that was killed continues with the
same choices as one that was not.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean
from typing import Any

from fgspec.errors import UserError
from fgspec.errors.extras import extra
from fgspec.spec.sweep import Draw, Optuna
from fgspec.sweeps.expand import Arm, Sweep, readable, trained
from fgspec.sweeps.folder import RunStatus, SweepDir
from fgspec.training.logbook import write_json

Choice = Mapping[str, int | float]
"""For every field its number, or the index of one of its values."""


@dataclass(frozen=True)
class Trial:
    """One choice and its result.

    Attributes:
        choice: the choice for every field.
        reached: the value of the metric that is optimized; None if the trial failed.
    """

    choice: Choice
    reached: float | None


def chosen_next(drawn: Optuna, trials: Sequence[Trial], lower: bool, count: int) -> list[Choice]:
    """The next choices; the same trials always lead to the same choices.

    Args:
        drawn: what is chosen from.
        trials: all trials so far, with their results.
        lower: whether lower values of the metric are better.
        count: how many choices are made at once.

    Raises:
        UserError: optuna is not installed.
    """
    optuna: Any = required()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    of = {path: _distribution(optuna, draw) for path, draw in drawn.fields.items()}
    # The seed depends on the number of trials, so that a search that was killed continues with the
    # same random numbers.
    sampler = optuna.samplers.TPESampler(seed=(drawn.seed + len(trials)) % 2**32)
    study = optuna.create_study(direction="minimize" if lower else "maximize", sampler=sampler)
    states = optuna.trial.TrialState
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for trial in trials:
            state = states.FAIL if trial.reached is None else states.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(
                    state=state, value=trial.reached, params=dict(trial.choice), distributions=of
                )
            )
        return [dict(study.ask(of).params) for _ in range(count)]


def required() -> Any:
    """The package optuna.

    Raises:
        UserError: it is not installed.
    """
    return extra("optuna", "optuna>=5.0", "optuna", "sweep: optuna")


def _distribution(optuna: Any, draw: Draw) -> Any:
    if draw.values is not None:
        return optuna.distributions.CategoricalDistribution(range(len(draw.values)))
    kind = "IntDistribution" if draw.whole else "FloatDistribution"
    made = getattr(optuna.distributions, kind)
    return made(draw.low, draw.high, log=draw.scale == "log")


def values_of(drawn: Optuna, choice: Choice) -> dict[str, Any]:
    """The value of every field; numbers are rounded to four digits."""
    return {path: _value(draw, choice[path]) for path, draw in drawn.fields.items()}


def _value(draw: Draw, number: int | float) -> Any:
    if draw.values is not None:
        return draw.values[int(number)]
    return int(number) if draw.whole else readable(number, draw.low or 0, draw.high or 0)


class Arms:
    """The arms of a search so far.

    Attributes:
        sweep: the sweep that searches.
        labels: for every trial, the label of the arm that is trained for it; None for one that is
            left out.
        kept: the arms, no two of which train the same.
        steps: how many updates a run of each arm has, by label.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.labels: list[str | None] = []
        self.kept: dict[str, Arm] = {}
        self.steps: dict[str, int] = {}

    def add(self, arm: Arm, steps: int) -> None:
        """Add the arm of the next trial."""
        same = self.kept.setdefault(trained(arm.loaded), arm)
        self.labels.append(same.label)
        self.steps[same.label] = steps

    def leave_out(self) -> None:
        """Record that the next trial has no arm that can be trained."""
        self.labels.append(None)

    def as_sweep(self) -> Sweep:
        """A sweep of these arms, without a search."""
        return replace(self.sweep, arms=tuple(self.kept.values()), search=None)

    def reached(self, runs: Sequence[RunStatus], metric: str) -> list[float | None]:
        """The metric of every trial, averaged over all seeds; None if a seed has no result."""
        by_label: dict[str, list[float | None]] = {}
        for run in runs:
            value = run.metrics.get(metric) if run.state == "done" else None
            by_label.setdefault(run.planned.arm, []).append(value)
        return [_mean(by_label.get(label, [])) if label else None for label in self.labels]


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and isfinite(value)]
    return fmean(finite) if finite and len(finite) == len(values) else None


def best(arms: Arms, reached: Sequence[float | None], metric: str, lower: bool) -> str:
    """A line that names the best trial."""
    pairs = zip(arms.labels, reached, strict=True)
    results = {label: value for label, value in pairs if label is not None and value is not None}
    if not results:
        return f"no arm has a result for {metric} with all seeds; fgspec status shows why"
    label = (min if lower else max)(results, key=lambda label: results[label])
    drawn = next(arm.drawn for arm in arms.kept.values() if arm.label == label)
    seeds = len(arms.sweep.seeds)
    mean = f", the mean over {seeds} seeds" * (seeds > 1)
    return f"best: {label} with {metric} {results[label]:.4f}{mean}: {', '.join(drawn)}"


def remember(folder: SweepDir, drawn: Optuna, choices: Sequence[Choice]) -> None:
    """Write all choices of a search to the sweep's folder."""
    write_json(folder.trials, {"drawn": _told(drawn), "trials": list(choices)})


def remembered(folder: SweepDir, drawn: Optuna) -> list[Choice]:
    """The choices that a search has made so far.

    Raises:
        UserError: the file cannot be read, or the search had other fields or another seed then.
    """
    file = folder.trials
    if not file.exists():
        return []
    try:
        record = json.loads(file.read_bytes())
        before = record["drawn"]
        choices: list[Choice] = [dict(choice) for choice in record["trials"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        raise UserError(
            f"{file}: cannot be read; remove it to start the search again (its runs are kept)"
        ) from None
    if before != _told(drawn):
        raise UserError(
            f"{file}: this search began with other optuna.fields or another optuna.seed; give the "
            "sweep another name, or restore their earlier values"
        )
    return choices


def _told(drawn: Optuna) -> dict[str, Any]:
    """The fields that must not change during a search."""
    return drawn.model_dump(mode="json", exclude={"count"})
