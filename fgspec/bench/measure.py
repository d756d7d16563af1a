"""Measures the time of compiled updates side by side: in every round each of them has a turn.

Other load on the machine affects all of them. So the ratio of two times within a round is more
precise than the ratio of two medians: on a shared machine times vary by half, such ratios by a
tenth.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fgspec.training.out_of_memory import enough_memory

TURN = 0.2
"""The seconds that a turn should take; it has at least `FEWEST` and at most `MOST` calls."""

FEWEST, MOST = 2, 2000
SCHEMA_VERSION = 1

Clock = Callable[[], float]


@dataclass(frozen=True)
class Subject:
    """A compiled update to measure.

    Attributes:
        name: its name in tables.
        call: (state, batch) -> (state, metrics); it may reuse the state's buffers for its result.
        state: the state before the first call. It is copied, and so still usable afterwards.
        batch: any tree of arrays, on the device.
        steps: how many updates one call makes.
    """

    name: str
    call: Callable[[Any, Any], tuple[Any, Mapping[str, Any]]]
    state: Any
    batch: Any
    steps: int = 1


@dataclass(frozen=True)
class Measured:
    """The measurement of a subject.

    Attributes:
        seconds: the seconds per update, for each round.
        calls: how many calls a turn had, besides one to warm up.
        finite: whether all metrics of the last call were finite.
    """

    seconds: list[float]
    calls: int
    finite: bool


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """The result of `function`, and the seconds that it took."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def measure(
    subjects: Sequence[Subject], rounds: int, clock: Clock = time.perf_counter
) -> list[Measured]:
    """Measure subjects in turns; each round starts with another subject.

    Args:
        subjects: the subjects, with compiled updates.
        rounds: how many turns each subject has.
        clock: a clock in seconds.

    Raises:
        RunError: the subjects together do not fit into memory.
    """
    runners = [_Runner(subject, clock) for subject in subjects]
    seconds: list[list[float]] = [[] for _ in runners]
    for turn in range(rounds):
        for index in range(len(runners)):
            chosen = (turn + index) % len(runners)
            seconds[chosen].append(runners[chosen].turn())
    return [
        Measured(times, runner.calls, runner.finite())
        for times, runner in zip(seconds, runners, strict=True)
    ]


class _Runner:
    """Calls one update repeatedly; each call gets the state that the previous one returned."""

    def __init__(self, subject: Subject, clock: Clock) -> None:
        self._subject, self._clock = subject, clock
        self._state = jax.tree.map(jnp.copy, subject.state)
        self._run(1)  # the first call allocates memory
        quickest = max(min(self._run(1), self._run(1), self._run(1)), 1e-9)
        self.calls = min(max(math.ceil(TURN / quickest), FEWEST), MOST)

    def turn(self) -> float:
        """The seconds per update, measured after one call that fills the caches again."""
        self._run(1)
        return self._run(self.calls) / (self.calls * self._subject.steps)

    def finite(self) -> bool:
        """Whether all metrics of the last call were finite."""
        return all(bool(np.isfinite(value).all()) for value in jax.device_get(self._metrics))

    def _run(self, calls: int) -> float:
        began, state = self._clock(), self._state
        metrics: Mapping[str, Any] = {}
        with enough_memory(self._subject.name):
            for _ in range(calls):
                state, metrics = self._subject.call(state, self._subject.batch)
            jax.block_until_ready((state, metrics))
        self._state, self._metrics = state, jax.tree.leaves(metrics)
        return self._clock() - began


def spread(values: Sequence[float]) -> dict[str, Any]:
    """The median, the quartiles and all values, one per round."""
    low, middle, high = np.quantile(np.asarray(values, np.float64), (0.25, 0.5, 0.75)).tolist()
    return {
        "median": middle,
        "lower_quartile": low,
        "upper_quartile": high,
        "rounds": list(values),
    }


def times(measured: Measured, reference: Measured, examples: int) -> dict[str, Any]:
    """The times of a subject as JSON.

    Args:
        measured: the measurement of the subject.
        reference: the measurement that its times are divided by, round by round.
        examples: how many examples an update has.
    """
    pairs = zip(measured.seconds, reference.seconds, strict=True)
    step_time = spread(measured.seconds)
    return {
        "calls_per_round": measured.calls,
        "finite": measured.finite,
        "step_time_s": step_time,
        "ratio": spread([time / other for time, other in pairs]),
        "steps_per_s": 1 / step_time["median"],
        "examples_per_s": examples / step_time["median"],
    }
