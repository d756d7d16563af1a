"""How often rules name a winner among equal arms, and how often they name one that is better."""

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from markdown_tables import table
from scipy import stats

from fgspec.results.statistics import CONFIDENCE, FALSE, verdict

Draw = Callable[[np.random.Generator, tuple[int, int, int]], np.ndarray]
"""Results of equal arms, [reports, arms, seeds]; seeds go together along the last axis."""

Rule = Callable[[np.ndarray], np.ndarray]
"""Results, [reports, arms, seeds], less is better -> the winner of each report, -1 without one."""

METRIC = "test/error"

ARRANGEMENTS = 20_000
"""Of the seeds of two arms, drawn once, where there are more than these."""

RESAMPLES = 1_000


def _with_common_seeds(rng: np.random.Generator, size: tuple[int, int, int]) -> np.ndarray:
    """Errors of 360 examples whose seeds differ more than their arms, so that many are tied."""
    reports, _, seeds = size
    errors = 0.05 + 0.01 * rng.normal(size=(reports, 1, seeds)) + 0.002 * rng.normal(size=size)
    return np.round(errors * 360) / 360


def _of_equal_means(rng: np.random.Generator, size: tuple[int, int, int]) -> np.ndarray:
    """Arms that have only the mean in common: one is exponential, the others are constant."""
    drawn = np.ones(size)
    drawn[:, 0] = rng.exponential(size=(size[0], size[2]))
    return drawn + 1e-3 * rng.normal(size=size)


EQUAL: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "lognormal": lambda rng, size: rng.lognormal(size=size),
    "3 % of 360": lambda rng, size: rng.binomial(360, 0.03, size) / 360,
    "0.3 % of 360": lambda rng, size: rng.binomial(360, 0.003, size) / 360,
    "2 % of 10,000": lambda rng, size: rng.binomial(10_000, 0.02, size) / 10_000,
    "360, seeds alike": _with_common_seeds,
}
"""Distributions of results that all arms of a report share."""

TWO_BEST: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size) + 9 * (np.arange(size[1]) > 1)[:, None]
}
"""Only two arms are equal, and the others far worse: the hardest case for any rule."""

UNLIKE: dict[str, Draw] = {"equal means only": _of_equal_means}
"""Outside of the promise: arms that differ in all but the mean."""


def by_paired_tests(results: np.ndarray) -> np.ndarray:
    """The rule of `fgspec report`, through the function that it calls."""
    labels = [str(arm) for arm in range(results.shape[1])]
    names = (
        verdict(
            METRIC,
            [
                (label, dict(enumerate(own.tolist())))
                for label, own in zip(labels, report, strict=True)
            ],
        ).winner
        for report in results
    )
    return np.asarray([-1 if name is None else int(name) for name in names])


def by_permutations(results: np.ndarray) -> np.ndarray:
    """The rule until 2026-11: permutation tests with Bonferroni's correction over the arms."""
    arms, seeds = results.shape[1:]
    chosen = _arrangements(seeds)
    exact = len(chosen) < ARRANGEMENTS

    def told_apart(best: np.ndarray, other: np.ndarray) -> np.ndarray:
        pool = np.concatenate([best, other], axis=1)
        # Sums of the seeds dealt to the best arm order the arrangements as means do.
        as_far = (pool @ chosen.T <= best.sum(1, keepdims=True) + 1e-12).sum(1)
        p = as_far / len(chosen) if exact else (as_far + 1) / (len(chosen) + 1)
        return p <= FALSE / arms

    return _beats_all(results, told_apart)


def _arrangements(seeds: int) -> np.ndarray:
    """Ways to deal all results to two arms, ones where they go to the first, [ways, 2 seeds]."""
    every = list(combinations(range(2 * seeds), seeds)) if seeds < 8 else None
    rng = np.random.default_rng(0)
    ways = ARRANGEMENTS if every is None else len(every)
    chosen = np.zeros((ways, 2 * seeds))
    for row in range(ways):
        own = rng.permutation(2 * seeds)[:seeds] if every is None else every[row]
        chosen[row, list(own)] = 1
    return chosen


def by_intervals(results: np.ndarray) -> np.ndarray:
    """A winner is named where BCa intervals of all its paired differences leave out zero."""

    def told_apart(best: np.ndarray, other: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (best, other),
                lambda a, b, axis: np.mean(a - b, axis),
                paired=True,
                vectorized=True,
                axis=1,
                method="BCa",
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                rng=np.random.default_rng(0),
            ).confidence_interval
        differences = best - other
        # No interval where all differences are equal: a difference is then taken as certain.
        constant = (np.ptp(differences, axis=1) < 1e-12) & (differences[:, 0] < 0)
        return (low > 0) | (high < 0) | constant

    return _beats_all(results, told_apart)


def _beats_all(
    results: np.ndarray, told_apart: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """The best arm of each report where it is told apart from every other."""
    best = results.mean(2).argmin(1)
    named = np.ones(len(results), bool)
    for place in range(1, results.shape[1]):
        # Reports that have failed already need no further test.
        rows = np.flatnonzero(named)
        for part in np.array_split(rows, -(-len(rows) // 200) or 1):
            other = results[part, (best[part] + place) % results.shape[1]]
            named[part] = told_apart(results[part, best[part]], other)
    return np.where(named, best, -1)


RULES: dict[str, Rule] = {
    "paired t, Holm": by_paired_tests,
    "permutation, Bonferroni": by_permutations,
    "BCa intervals alone": by_intervals,
}


def calibration(
    draws: dict[str, Draw], seeds: Sequence[int], arms: Sequence[int], reports: int
) -> Iterator[tuple[str, ...]]:
    """Rows of the share of reports on equal arms that name a winner, in per cent, rule by rule."""
    for title, draw in draws.items():
        for count in seeds:
            rng = np.random.default_rng(count)
            drawn = [draw(rng, (reports, number, count)) for number in arms]
            shares = (
                " / ".join(f"{(rule(results) >= 0).mean() * 100:.1f}" for rule in RULES.values())
                for results in drawn
            )
            yield title, str(count), *shares


def power(
    seeds: Sequence[int], arms: Sequence[int], reports: int, common: float
) -> Iterator[tuple[str, ...]]:
    """Rows of the share of reports that name the one better arm, in per cent, for two rules.

    Args:
        seeds: of each arm.
        arms: all but one are equal.
        reports: drawn for each cell.
        common: share of the variance that is the seeds' own, the same for all arms.
    """
    decided = [by_paired_tests, by_permutations]
    for distance in (1, 2):
        for count in seeds:
            rng = np.random.default_rng(count)
            drawn = []
            for number in arms:
                of_seeds = rng.normal(size=(reports, 1, count)) * common**0.5
                own = rng.normal(size=(reports, number, count)) * (1 - common) ** 0.5
                results = of_seeds + own
                results[:, 0] -= distance
                drawn.append(results)
            shares = (
                " / ".join(f"{(rule(results) == 0).mean() * 100:.0f}" for rule in decided)
                for results in drawn
            )
            yield f"{distance} sd", str(count), *shares


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=2000, help="drawn for each cell; 2000")
    reports = parser.parse_args().reports
    arms = (2, 3, 5, 8)
    heads = [f"{count} arms" for count in arms]
    print(f"Per cent of {reports} reports that name a winner: {' / '.join(RULES)}")
    for title, draws, seeds in (
        ("All arms are equal", EQUAL, (2, 3, 5, 7, 10)),
        ("Two arms are equal, all others far worse", TWO_BEST, (5, 10)),
        ("Arms have only the mean in common, for which nothing is promised", UNLIKE, (5, 10)),
    ):
        print(f"\n{title}\n", flush=True)
        rows = calibration(draws, seeds, arms, reports)
        print(table(["results", "seeds", *heads], rows), flush=True)
    print(f"\nPer cent of {reports} reports that name the better arm: {' / '.join([*RULES][:2])}")
    for common in (0.0, 0.5):
        print(f"\n{common:.0%} of the variance is that of the seeds, common to all arms\n")
        rows = power((3, 5, 10, 20), arms, reports, common)
        print(table(["better by", "seeds", *heads], rows), flush=True)


if __name__ == "__main__":
    main()
