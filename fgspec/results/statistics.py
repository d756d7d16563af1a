"""Means over seeds, differences of pairs, and when a winner may be named."""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fgspec.results.metrics import written
from fgspec.spec.metrics import is_error

CONFIDENCE = 0.95

FALSE = 0.05
"""How often a winner may be named among arms that are equal."""

FEWEST_PAIRS = 5
"""Below it no winner is named and no interval is shown.

With fewer pairs everything rests on the normal distribution, which so few seeds cannot show, and an
interval from resampling is little more than the range of what was seen.
"""

_NAMED = 3
"""Arms that are named one by one where there are too few seeds."""

RESAMPLES = 5_000
"""Of the seeds, for an interval."""

LOWER = {
    "loss": True,
    "objective": True,
    "accuracy": False,
    "local_loss": True,
    "local_accuracy": False,
}
"""By a word of a metric's name: whether less is better. Of errors it is."""

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
        interval: of that mean, with 95 % confidence, by resampling; None where there is none.
        method: how the interval was made, or why there is none.
        effect: paired Cohen's d: the mean over the standard deviation of the differences; None of
            few pairs, and where all differences are equal.
    """

    count: int
    mean: float | None
    interval: tuple[float, float] | None
    method: str
    effect: float | None = None


class PairedTest(NamedTuple):
    """What the paired seeds of two arms say.

    Attributes:
        p: chance of so large a difference between equal arms, in either direction.
        effect: paired Cohen's d: the mean of the differences over their standard deviation; None
            where all differences are equal.
        pairs: seeds that both arms have.
    """

    p: float
    effect: float | None
    pairs: int


@dataclass(frozen=True)
class Verdict:
    """Which arm is best.

    Attributes:
        winner: its label; None where none is named.
        text: the same in a sentence or two, with the reason.
    """

    winner: str | None
    text: str


def summary(values: Values) -> Summary | None:
    """Of the values of all seeds; None if there are none."""
    own = np.asarray(list(values.values()), np.float64)
    if not len(own):
        return None
    return Summary(len(own), float(own.mean()), float(own.std(ddof=1)) if len(own) > 1 else None)


def paired(a: Values, b: Values) -> Paired:
    """Differences a - b over the seeds of both, with an interval that decides nothing.

    The interval is the bias-corrected and accelerated bootstrap's (BCa), over pairs. It is too
    narrow for few pairs, so no verdict depends on it.
    """
    first, second = _shared(a, b)
    differences = first - second
    pairs = len(differences)
    if not pairs:
        return Paired(0, None, None, "no pairs")
    mean = float(differences.mean())
    if pairs < FEWEST_PAIRS:
        return Paired(pairs, mean, None, f"needs {FEWEST_PAIRS} pairs")
    if _equal(differences, first, second):
        return Paired(pairs, mean, None, "all differences are equal")
    effect = mean / float(differences.std(ddof=1))
    stats = _stats()
    # BCa is not defined where leaving out any one pair changes nothing it can measure.
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (first, second),
                lambda a, b, axis: np.mean(a - b, axis),
                paired=True,
                vectorized=True,
                method=method,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                rng=np.random.default_rng(0),
            ).confidence_interval
        if np.isfinite([low, high]).all():
            return Paired(pairs, mean, (float(low), float(high)), method, effect)
    return Paired(pairs, mean, None, "is not defined", effect)


def lower_is_better(metric: str) -> bool | None:
    """Whether less of a metric is better; None if that is not known."""
    if is_error(metric):
        return True
    return next((LOWER[word] for word in metric.split("/") if word in LOWER), None)


def compared(best: Values, other: Values, lower: bool) -> PairedTest:
    """A paired t-test, with a continuity correction, of the arm that looks best against another.

    Args:
        best: the arm that looks best.
        other: one that it is compared with; both have at least two seeds in common.
        lower: whether less is better.
    """
    first, second = _shared(best, other)
    differences = first - second
    mean, pairs = float(differences.mean()), len(differences)
    if _equal(differences, first, second):
        if abs(mean) <= _resolution(first, second):
            return PairedTest(1.0, 0.0, pairs)
        # No variance, so no t: the sign test. Equal arms differ in one direction with every seed
        # in 2 of 2^n cases; results in steps of one test example do that with equal sizes, too.
        return PairedTest(2.0 ** (1 - pairs), None, pairs)
    # Results of small test sets come in steps, so that few differences stand for many and a t-test
    # at 5 % names up to 6 % at seven seeds. A continuity correction mends that: the sum of the
    # differences, which moves in steps, too, counts as half a step nearer to zero. Where results
    # are not tied the least step is so small that it hardly matters.
    gaps = np.diff(np.sort(differences))
    step = float(min(gaps[gaps > _resolution(first, second)], default=0.0))
    nearer = first + (1 if lower else -1) * step / (2 * pairs)
    # Twice the one-sided p is the two-sided p, as which arm looks best was seen in the same
    # numbers; it is 1 where the arm is not ahead on the seeds that both have.
    one_sided = (
        _stats().ttest_rel(nearer, second, alternative="less" if lower else "greater").pvalue
    )
    return PairedTest(min(1.0, 2 * float(one_sided)), mean / float(differences.std(ddof=1)), pairs)


def holm(chances: Sequence[float]) -> list[float]:
    """P values adjusted for their number by Holm's step-down method, in the same order."""
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances, kind="stable")):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = largest
    return adjusted


def verdict(metric: str, arms: Sequence[tuple[str, Values]]) -> Verdict:
    """Which arm is best, or why none is named.

    The arm with the best mean is named if paired t-tests tell it from every other arm, with p
    values adjusted by Holm's method over these comparisons, and at least `FEWEST_PAIRS` pairs each.

    Args:
        metric: its name says whether less is better.
        arms: labels, and the metric by seed.
    """
    # That the best arm is chosen after looking costs nothing here. An arm that is not best alone
    # can be named only if it beats one that is at least as good, which happens with a chance of
    # FALSE / 2 for each of two equal arms, FALSE together. With more equal arms it must beat all
    # others at once, which is rarer: below 1 % for three. The difference of two equal arms is
    # distributed symmetrically, however skewed either is, and most often near 0; for such
    # differences the t-test keeps its level, too (benchmarks/verdicts.py).
    lower = lower_is_better(metric)
    measured = {label: own for label, own in arms if own}
    if lower is None:
        return _none(f"whether less of {metric} is better is not known.")
    if len(measured) < 2:
        return _none("there are not two arms with results.")
    broken = [label for label, own in measured.items() if not np.isfinite([*own.values()]).all()]
    if broken:
        return _none(f"{metric} of {', '.join(broken)} is not a finite number.")
    means = {label: float(np.mean([*own.values()])) for label, own in measured.items()}
    best = (min if lower else max)(means, key=lambda label: means[label])
    most = "lowest" if lower else "highest"
    ahead = f"{best} has the {most} {metric}, {written(metric, means[best])}"
    others = {label: own for label, own in measured.items() if label != best}
    shared = {label: len(measured[best].keys() & own.keys()) for label, own in others.items()}
    if min(shared.values()) < FEWEST_PAIRS:
        return _none(f"{ahead}, but {_too_few(shared)}")
    tests = {label: compared(measured[best], own, lower) for label, own in others.items()}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    told = {label: f"{label} ({_told(test, adjusted[label])})" for label, test in tests.items()}
    count = len(tests)
    rule = "Paired t-tests" + (
        f", p adjusted for {count} comparisons by Holm's method" * (count > 1)
    )
    unclear = [told[label] for label, p in adjusted.items() if p > FALSE]
    if unclear:
        return _none(
            f"{ahead}, but chance can explain the difference to {', '.join(unclear)}. {rule}; "
            f"each p must be at most {FALSE:g}."
        )
    return Verdict(
        best,
        f"{ahead}, and the difference to every other arm is larger than chance explains: "
        f"{', '.join(told.values())}. {rule}; each is at most {FALSE:g}. Among equal arms, a "
        f"winner is named in at most {FALSE:.0%} of reports.",
    )


def best_of(metric: str, arms: Sequence[tuple[str, Values]]) -> str | None:
    """The arm with the best mean, which need not be better than the others; see `verdict`.

    None where no arm has a result, or it is not known whether less of the metric is better.
    """
    lower = lower_is_better(metric)
    means = {label: float(np.mean([*own.values()])) for label, own in arms if own}
    if lower is None or not means:
        return None
    return (min if lower else max)(means, key=lambda label: means[label])


def _none(reason: str) -> Verdict:
    return Verdict(None, f"No winner is named: {reason}")


def _told(test: PairedTest, adjusted: float) -> str:
    if test.effect is None:
        return f"all {test.pairs} differences are equal, p = {adjusted:.2g} by the sign test"
    return f"p = {adjusted:.2g}, paired Cohen's d = {test.effect:.2g}"


def _too_few(shared: Mapping[str, int]) -> str:
    """That seeds are too few, and how many are needed."""
    by_count: dict[int, list[str]] = {}
    for label, count in shared.items():
        if count < FEWEST_PAIRS:
            by_count.setdefault(count, []).append(label)
    short = [
        f"{count} {'seed' if count == 1 else 'seeds'} with "
        + (", ".join(labels) if len(labels) <= _NAMED else f"each of {len(labels)} other arms")
        for count, labels in by_count.items()
    ]
    return (
        f"it shares only {', '.join(short)}. Run at least {FEWEST_PAIRS} seeds of each of these "
        f"{len(shared) + 1} arms, the same for all."
    )


def _shared(a: Values, b: Values) -> tuple[np.ndarray, np.ndarray]:
    """The values of both for the seeds that both have, [pairs] each."""
    seeds = sorted(a.keys() & b.keys())
    first, second = ([own[seed] for seed in seeds] for own in (a, b))
    return np.asarray(first, np.float64), np.asarray(second, np.float64)


def _equal(differences: np.ndarray, *values: np.ndarray) -> bool:
    """Whether differences vary by no more than the rounding of the values."""
    return bool(np.ptp(differences) <= _resolution(*values))


def _resolution(*values: np.ndarray) -> float:
    # Metrics are computed in float32, so that 0.3 - 0.2 and 0.2 - 0.1 differ in the eighth digit.
    return 4 * float(np.finfo(np.float32).eps) * max(float(np.abs(own).max()) for own in values)


def _stats() -> Any:
    """`scipy.stats`. Its import takes a second, for which no run should wait that only trains."""
    return importlib.import_module("scipy.stats")
