"""Means over seeds, differences of pairs, and when a winner may be named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import comb, sqrt

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

FALSE = 0.05
"""How often a winner may be named among arms that are equal."""

PERMUTATIONS = 50_000
"""Of the seeds of two arms: all of them up to nine seeds each, and so many at random of more."""

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
        interval: of that mean, with 95 % confidence; None of one pair.
    """

    count: int
    mean: float | None
    interval: tuple[float, float] | None


def summary(values: Values) -> Summary | None:
    """Of the values of all seeds; None if there are none."""
    own = np.asarray(list(values.values()), np.float64)
    if not len(own):
        return None
    return Summary(len(own), float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else None)


def paired(a: Values, b: Values) -> Paired:
    """Differences a - b over the seeds of both.

    The interval is Student's: it holds its 95 % where differences are normally distributed, of two
    pairs too, where a bootstrap would give the span between them, which holds 50 %.
    """
    seeds = sorted(a.keys() & b.keys())
    differences = np.asarray([a[seed] - b[seed] for seed in seeds], np.float64)
    pairs = len(differences)
    if not pairs:
        return Paired(0, None, None)
    mean, interval = float(differences.mean()), None
    if pairs > 1:
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1)
        half = float(reach * differences.std(ddof=1) / sqrt(pairs))
        interval = (mean - half, mean + half)
    return Paired(pairs, mean, interval)


def lower_is_better(metric: str) -> bool | None:
    """Whether less of a metric is better; None if that is not known."""
    return next((LOWER[word] for word in metric.split("/") if word in LOWER), None)


def verdict(metric: str, arms: Sequence[tuple[str, Values]]) -> str:
    """Which arm is best, in a sentence, or why none is named.

    The best arm is named if a permutation test of its seeds against those of each other arm gives
    a p of at most `FALSE` over the number of arms. Where arms are equal, that names a winner in at
    most `FALSE` of cases: an arm can be named only if it beats one that it equals, of which the
    chance is at most that p for each arm. Nothing is assumed of how results are distributed, which
    a few seeds cannot tell; seeds that arms share, whose results go together, make it rarer.
    """
    lower = lower_is_better(metric)
    found = {label: own for label, own in arms if own}
    if lower is None:
        return f"No winner is named: whether less of {metric} is better is not known."
    if len(found) < 2:
        return "No winner is named: there are not two arms with results."
    if broken := [label for label, own in found.items() if not np.isfinite([*own.values()]).all()]:
        return f"No winner is named: {metric} of {', '.join(broken)} is not a finite number."
    means = {label: float(np.mean([*own.values()])) for label, own in found.items()}
    best = (min if lower else max)(means, key=lambda label: means[label])
    others = [label for label in found if label != best]
    ahead = f"{best} has the {'lowest' if lower else 'highest'} {metric}, {means[best]:.4f}"
    level = FALSE / len(found)
    fewest = min(len(own) for own in found.values())
    if any(1 / comb(len(found[best]) + len(found[o]), len(found[o])) > level for o in others):
        return f"No winner is named: {ahead}, but {_too_few(fewest, len(found))}."
    chances = {other: _chance(found[best], found[other], lower) for other in others}
    unclear = [other for other, chance in chances.items() if chance > level]
    rule = f"p must be at most {FALSE:g} / {len(found)} arms = {level:.2g}"
    if unclear:
        told = ", ".join(f"{other} (p = {chances[other]:.2g})" for other in unclear)
        return f"No winner is named: {ahead}, but chance explains the difference to {told}; {rule}."
    return (
        f"{ahead}, and chance does not explain the difference to any other arm (permutation test, "
        f"largest p = {max(chances.values()):.2g}; {rule}). Among equal arms, a winner is named in "
        f"at most {FALSE:.0%} of reports."
    )


def _chance(best: Values, other: Values, lower: bool) -> float:
    """How often an equal arm would be at least so far behind: a permutation test of means."""
    found = stats.permutation_test(
        ([*best.values()], [*other.values()]),
        lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis),
        vectorized=True,
        alternative="less" if lower else "greater",
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def _too_few(seeds: int, arms: int) -> str:
    """That no result of so few seeds could name a winner, and how many could."""
    needed = next(n for n in count(2) if 1 / comb(2 * n, n) <= FALSE / arms)
    if seeds < 2:
        return f"of {seeds} seed nothing follows; run at least {needed} seeds of each arm"
    alike = 2 / comb(2 * seeds, seeds)
    return (
        f"with {seeds} seeds no difference, however large, is told from chance: of two equal arms, "
        f"one has the better result with every seed in {alike:.0%} of cases. Run at least {needed} "
        f"seeds of each of these {arms} arms"
    )
