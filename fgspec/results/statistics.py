"""Means over seeds, paired differences, and the rule by which a winner is named."""

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
"""How often a winner may be named, at most, if all arms are equal."""

FEWEST_PAIRS = 5
"""The least number of pairs for which a winner is named or an interval is shown.

With fewer pairs, a test depends entirely on the assumption of a normal distribution, which so few
seeds cannot support. And an interval from resampling is little more than the observed range.
"""

_NAMED = 3
"""Arms that are listed by name if they have too few seeds; more arms are only counted."""

RESAMPLES = 5_000
"""How often seeds are resampled for an interval."""

LOWER = {
    "loss": True,
    "objective": True,
    "accuracy": False,
    "local_loss": True,
    "local_accuracy": False,
}
"""Whether lower is better, by a word in a metric's name. For errors it always is."""

Values = Mapping[int, float]
"""The values of a metric by seed."""


@dataclass(frozen=True)
class Summary:
    """Count, mean and standard deviation over the seeds of one arm; None for a single seed."""

    count: int
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Paired:
    """The differences of two arms, seed by seed.

    Attributes:
        count: how many seeds both arms have.
        mean: the mean of first minus second; None without pairs.
        interval: the 95 % confidence interval of that mean by resampling, or None.
        method: how the interval was made, or why there is none.
        effect: paired Cohen's d: the mean of the differences over their standard deviation. None
            for few pairs, or if all differences are equal.
    """

    count: int
    mean: float | None
    interval: tuple[float, float] | None
    method: str
    effect: float | None = None


class PairedTest(NamedTuple):
    """The result of a paired test of two arms.

    Attributes:
        p: the two-sided p value: the probability of so large a difference between equal arms.
        effect: paired Cohen's d: the mean of the differences over their standard deviation; None
            if all differences are equal.
        pairs: how many seeds both arms have.
    """

    p: float
    effect: float | None
    pairs: int


@dataclass(frozen=True)
class Verdict:
    """Which arm is best.

    Attributes:
        winner: its label; None if no winner is named.
        text: the result in one or two sentences, with the reason.
    """

    winner: str | None
    text: str


def summary(values: Values) -> Summary | None:
    """Count, mean and deviation of the values of all seeds; None if there are none."""
    numbers = np.asarray(list(values.values()), np.float64)
    if not len(numbers):
        return None
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return Summary(len(numbers), float(numbers.mean()), deviation)


def paired(a: Values, b: Values) -> Paired:
    """The differences a - b over the seeds that both have, with an interval.

    The interval is that of the bias-corrected and accelerated bootstrap (BCa) over pairs. It is too
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
    # BCa is not defined if leaving out a pair never changes the mean measurably.
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
    """Whether lower values of a metric are better; None if this is unknown."""
    if is_error(metric):
        return True
    return next((LOWER[word] for word in metric.split("/") if word in LOWER), None)


def compared(best: Values, other: Values, lower: bool) -> PairedTest:
    """Test the arm that looks best against another, by a paired t-test with continuity correction.

    Args:
        best: the arm that looks best.
        other: the arm to compare it with; both have at least two seeds in common.
        lower: whether lower values are better.
    """
    first, second = _shared(best, other)
    differences = first - second
    mean, pairs = float(differences.mean()), len(differences)
    if _equal(differences, first, second):
        if abs(mean) <= _resolution(first, second):
            return PairedTest(1.0, 0.0, pairs)
        # Without variance there is no t, so the sign test is used: equal arms differ in the same
        # direction with all n seeds in 2 of 2^n cases. Results come in steps of one test example,
        # so differences of equal size do occur.
        return PairedTest(2.0 ** (1 - pairs), None, pairs)
    # Results of small test sets come in steps, so only few different differences are possible, and
    # a t-test at 5 % rejects in up to 6 % of cases at seven seeds. A continuity correction prevents
    # this: the sum of the differences, which comes in steps too, is moved half a step towards zero.
    # If there are no ties, the smallest step is so small that the correction hardly matters.
    gaps = np.diff(np.sort(differences))
    step = float(min(gaps[gaps > _resolution(first, second)], default=0.0))
    nearer = first + (1 if lower else -1) * step / (2 * pairs)
    # The two-sided p, twice the one-sided one, is needed because the same numbers decided which arm
    # looks best. It is 1 if that arm is not ahead on the seeds that both have.
    one_sided = (
        _stats().ttest_rel(nearer, second, alternative="less" if lower else "greater").pvalue
    )
    return PairedTest(min(1.0, 2 * float(one_sided)), mean / float(differences.std(ddof=1)), pairs)


def holm(chances: Sequence[float]) -> list[float]:
    """Adjust p values for multiple comparisons by Holm's step-down method; the order is kept."""
    adjusted, largest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances, kind="stable")):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = largest
    return adjusted


def verdict(metric: str, arms: Sequence[tuple[str, Values]]) -> Verdict:
    """Decide which arm is best, or why no winner is named.

    The arm with the best mean is named if paired t-tests distinguish it from every other arm, with
    p values adjusted by Holm's method, and at least `FEWEST_PAIRS` pairs for each.

    Args:
        metric: the metric, whose name says whether lower is better.
        arms: the labels of the arms, each with the metric by seed.
    """
    # It does no harm that the best arm is chosen after looking at the results. An arm that is not
    # truly the single best one is named only if it beats an arm that is at least as good. For two
    # equal arms this has a probability of FALSE / 2 for each, so FALSE in all. With more equal arms
    # it must beat all others at once, which is rarer: below 1 % for three arms. The difference of
    # two equal arms has a symmetric distribution, however skewed their own is, with its peak near
    # 0; for such differences the t-test keeps its level (benchmarks/verdicts.py).
    lower = lower_is_better(metric)
    measured = {label: own for label, own in arms if own}
    if lower is None:
        return _none(f"it is unknown whether lower or higher {metric} is better.")
    if len(measured) < 2:
        return _none("fewer than two arms have results.")
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
    texts = {label: f"{label} ({_result(test, adjusted[label])})" for label, test in tests.items()}
    count = len(tests)
    rule = "Paired t-tests" + (
        f", p adjusted for {count} comparisons by Holm's method" * (count > 1)
    )
    unclear = [texts[label] for label, p in adjusted.items() if p > FALSE]
    if unclear:
        return _none(
            f"{ahead}, but chance can explain the difference to {', '.join(unclear)}. {rule}; "
            f"each p must be at most {FALSE:g}."
        )
    return Verdict(
        best,
        f"{ahead}, and the difference to every other arm is larger than chance explains: "
        f"{', '.join(texts.values())}. {rule}; each is at most {FALSE:g}. Among equal arms, a "
        f"winner is named in at most {FALSE:.0%} of reports.",
    )


def best_of(metric: str, arms: Sequence[tuple[str, Values]]) -> str | None:
    """The arm with the best mean, even if chance can explain the difference; see `verdict`.

    None if no arm has a result, or it is unknown whether lower values are better.
    """
    lower = lower_is_better(metric)
    means = {label: float(np.mean([*own.values()])) for label, own in arms if own}
    if lower is None or not means:
        return None
    return (min if lower else max)(means, key=lambda label: means[label])


def _none(reason: str) -> Verdict:
    return Verdict(None, f"No winner is named: {reason}")


def _result(test: PairedTest, adjusted: float) -> str:
    if test.effect is None:
        return f"all {test.pairs} differences are equal, p = {adjusted:.2g} by the sign test"
    return f"p = {adjusted:.2g}, paired Cohen's d = {test.effect:.2g}"


def _too_few(shared: Mapping[str, int]) -> str:
    """Says that there are too few seeds, and how many are needed."""
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
    """The values of both arms for the seeds that both have, [pairs] each."""
    seeds = sorted(a.keys() & b.keys())
    first, second = ([own[seed] for seed in seeds] for own in (a, b))
    return np.asarray(first, np.float64), np.asarray(second, np.float64)


def _equal(differences: np.ndarray, *values: np.ndarray) -> bool:
    """Whether the differences are equal up to the rounding of the values."""
    return bool(np.ptp(differences) <= _resolution(*values))


def _resolution(*values: np.ndarray) -> float:
    # Metrics are computed in float32, so 0.3 - 0.2 and 0.2 - 0.1 differ in the eighth digit.
    return 4 * float(np.finfo(np.float32).eps) * max(float(np.abs(own).max()) for own in values)


def _stats() -> Any:
    """The module `scipy.stats`, whose import takes a second, which training need not wait for."""
    return importlib.import_module("scipy.stats")
