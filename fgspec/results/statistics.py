"""Means over seeds, differences of pairs, and when a winner may be named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = 0.95

LOWER = {
    "error": True,
    "loss": True,
    "objective": True,
    "accuracy": False,
    "local_loss": True,
    "local_accuracy": False,
}
"""By a word of a metric's name: whether less is better."""

Values = Mapping[int, float]
"""Of a metric, by seed."""


@dataclass(frozen=True)
class Summary:
    """Of one arm: count, mean, and standard deviation over seeds; None of one seed alone."""

    count: int
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Paired:
    """Differences of two arms, seed by seed.

    Attributes:
        count: seeds that both have.
        mean: of first less second; None without a pair.
        interval: bootstrap percentiles of that mean; None of one pair.
    """

    count: int
    mean: float | None
    interval: tuple[float, float] | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval does."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def summary(values: Values) -> Summary | None:
    """Of the values of all seeds; None if there are none."""
    own = np.asarray(list(values.values()), np.float64)
    if not len(own):
        return None
    return Summary(len(own), float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else None)


def paired(a: Values, b: Values) -> Paired:
    """Differences a - b over the seeds of both.

    The interval is the percentile bootstrap's (Efron 1979) over pairs: 10,000 resamples of a
    fixed seed. Of few pairs it is narrower than its 95 % say.
    """
    seeds = sorted(a.keys() & b.keys())
    differences = np.asarray([a[seed] - b[seed] for seed in seeds], np.float64)
    count = len(differences)
    if not count:
        return Paired(0, None, None)
    interval = None
    if count > 1:
        rows = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(differences[rows].mean(1), (tail, 1 - tail))
        interval = (float(low), float(high))
    return Paired(count, float(differences.mean()), interval)


def lower_is_better(metric: str) -> bool | None:
    """Whether less of a metric is better; None if that is not known."""
    return next((LOWER[word] for word in metric.split("/") if word in LOWER), None)


def verdict(metric: str, arms: Sequence[tuple[str, Values]]) -> str:
    """Which arm is best, in a sentence, or why none is named.

    An arm is named only if every other has at least two seeds in common with it and the interval
    of the difference to each leaves out zero.
    """
    lower = lower_is_better(metric)
    found = {label: s for label, values in arms if (s := summary(values)) is not None}
    if lower is None:
        return f"No winner is named: whether less of {metric} is better is not known."
    if len(found) < 2:
        return "No winner is named: there are not two arms with results."
    best = min(found, key=lambda label: found[label].mean * (1 if lower else -1))
    values = dict(arms)
    pairs = {other: paired(values[best], values[other]) for other in found if other != best}
    fewest = min(pair.count for pair in pairs.values())
    ahead = f"{best} has the {'lowest' if lower else 'highest'} {metric}, {found[best].mean:.4f}"
    if fewest < 2:
        return (
            f"No winner is named: {ahead}, but of {fewest} seed{'s' * (fewest != 1)} in common "
            "with another arm nothing follows; run more seeds."
        )
    unclear = [other for other, pair in pairs.items() if not pair.excludes_zero]
    if unclear:
        return (
            f"No winner is named: {ahead}, but intervals of its differences to "
            f"{', '.join(unclear)} include zero."
        )
    chance = 2 ** (1 - fewest)
    return (
        f"{ahead}; the intervals of its differences to all others leave out zero. "
        f"By chance alone, {fewest} differences have one sign in {chance:.2g} of all cases."
    )
