"""What optuna chooses next, from what earlier arms of a sweep reached.

A search is the list of its trials in the sweep's folder; what each reached is in the metrics of its
runs. The next choice depends on nothing else, so a search that was killed goes on as one that never
was.
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
from fgspec.sweeps.folder import Found, SweepDir
from fgspec.training.logbook import write_json

Choice = Mapping[str, int | float]
"""By field: a number, or which of its values."""


@dataclass(frozen=True)
class Trial:
    """One choice and what came of it.

    Attributes:
        choice: of every field.
        reached: the metric that is searched by; None of one that failed.
    """

    choice: Choice
    reached: float | None


def chosen_next(drawn: Optuna, trials: Sequence[Trial], lower: bool, count: int) -> list[Choice]:
    """The next choices, the same for the same trials.

    Args:
        drawn: what is chosen from.
        trials: all so far, each with its outcome.
        lower: whether less of the metric is better.
        count: how many choices are made at once.

    Raises:
        UserError: optuna is not installed.
    """
    optuna: Any = required()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    of = {path: _distribution(optuna, draw) for path, draw in drawn.fields.items()}
    # Seeded by how many trials there are: random numbers go on where a search was killed, too.
    sampler = optuna.samplers.TPESampler(seed=(drawn.seed + len(trials)) % 2**32)
    study = optuna.create_study(direction="minimize" if lower else "maximize", sampler=sampler)
    states = optuna.trial.TrialState
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for one in trials:
            state = states.FAIL if one.reached is None else states.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(
                    state=state, value=one.reached, params=dict(one.choice), distributions=of
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
    """The value of every field, numbers with four digits."""
    return {path: _value(draw, choice[path]) for path, draw in drawn.fields.items()}


def _value(draw: Draw, number: int | float) -> Any:
    if draw.values is not None:
        return draw.values[int(number)]
    return int(number) if draw.whole else readable(number, draw.low or 0, draw.high or 0)


class Arms:
    """The arms of a search so far.

    Attributes:
        sweep: that searches.
        labels: of every trial, that of the arm which is run for it; None of one left out.
        kept: no two train the same.
        steps: updates of a run of each, by label.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.labels: list[str | None] = []
        self.kept: dict[str, Arm] = {}
        self.steps: dict[str, int] = {}

    def add(self, arm: Arm, steps: int) -> None:
        """The arm of the next trial."""
        same = self.kept.setdefault(trained(arm.loaded), arm)
        self.labels.append(same.label)
        self.steps[same.label] = steps

    def leave_out(self) -> None:
        """The next trial has no arm that could be trained."""
        self.labels.append(None)

    def as_sweep(self) -> Sweep:
        """These arms, as if they had always been known."""
        return replace(self.sweep, arms=tuple(self.kept.values()), search=None)

    def reached(self, found: Sequence[Found], metric: str) -> list[float | None]:
        """The metric of every trial, the mean over all seeds; None where one has no result."""
        by_label: dict[str, list[float | None]] = {}
        for one in found:
            value = one.metrics.get(metric) if one.state == "done" else None
            by_label.setdefault(one.planned.arm, []).append(value)
        return [_mean(by_label.get(label, [])) if label else None for label in self.labels]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and isfinite(value)]
    return fmean(known) if known and len(known) == len(values) else None


def best(arms: Arms, reached: Sequence[float | None], metric: str, lower: bool) -> str:
    """Which trial reached most, in a line."""
    pairs = zip(arms.labels, reached, strict=True)
    known = {label: value for label, value in pairs if label is not None and value is not None}
    if not known:
        return f"no arm has {metric} with every seed; fgspec status says why"
    label = (min if lower else max)(known, key=lambda label: known[label])
    drawn = next(arm.drawn for arm in arms.kept.values() if arm.label == label)
    seeds = len(arms.sweep.seeds)
    mean = f", the mean over {seeds} seeds" * (seeds > 1)
    return f"best: {label} with {metric} {known[label]:.4f}{mean}: {', '.join(drawn)}"


def remember(folder: SweepDir, drawn: Optuna, choices: Sequence[Choice]) -> None:
    """Write all choices of a search into its sweep's folder."""
    write_json(folder.trials, {"drawn": _told(drawn), "trials": list(choices)})


def remembered(folder: SweepDir, drawn: Optuna) -> list[Choice]:
    """The choices that a search made so far; none before its first.

    Raises:
        UserError: the file cannot be read, or the search chose from something else.
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
            f"{file}: cannot be read; remove it to begin the search anew, whose runs are kept"
        ) from None
    if before != _told(drawn):
        raise UserError(
            f"{file}: this search chose from other values, or with another seed; give the sweep "
            "another name, or take optuna.fields and optuna.seed back to what they were"
        )
    return choices


def _told(drawn: Optuna) -> dict[str, Any]:
    """What must not change during a search."""
    return drawn.model_dump(mode="json", exclude={"count"})
