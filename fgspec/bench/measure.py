"""How long compiled updates take, side by side: every round gives each of them a turn.

What disturbs a machine for a while affects all of them, and a ratio within a round says more than a
quotient of two medians: on a shared machine times scatter by half, such ratios by a tenth.
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
"""Seconds that a turn is meant to take; at least `FEWEST` calls, at most `MOST`."""

FEWEST, MOST = 2, 2000
SCHEMA_VERSION = 1

Clock = Callable[[], float]


@dataclass(frozen=True)
class Subject:
    """A compiled update that is to be measured.

    Attributes:
        name: what tables call it.
        call: (state, batch) -> (state, metrics); may take the state's buffers for its result.
        state: before the first call; it is copied, so that it outlives the measurement.
        batch: any tree of arrays, on the device.
        steps: updates that one call makes.
    """

    name: str
    call: Callable[[Any, Any], tuple[Any, Mapping[str, Any]]]
    state: Any
    batch: Any
    steps: int = 1


@dataclass(frozen=True)
class Measured:
    """What became of a subject.

    Attributes:
        seconds: an update took, in each round.
        calls: that a turn had, besides one to warm up.
        finite: whether all metrics of the last call were.
    """

    seconds: list[float]
    calls: int
    finite: bool


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What `function` returns, and the seconds it took."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def measure(
    subjects: Sequence[Subject], rounds: int, clock: Clock = time.perf_counter
) -> list[Measured]:
    """Measure subjects in turns; the first of a round is another each time.

    Args:
        subjects: whose updates are compiled.
        rounds: turns of each.
        clock: in seconds.

    Raises:
        RunError: a subject does not fit into memory beside the others.
    """
    runners = [_Runner(subject, clock) for subject in subjects]
    seconds: list[list[float]] = [[] for _ in runners]
    for turn in range(rounds):
        for index in range(len(runners)):
            chosen = (turn + index) % len(runners)
            seconds[chosen].append(runners[chosen].turn())
    return [
        Measured(own, runner.calls, runner.finite())
        for own, runner in zip(seconds, runners, strict=True)
    ]


class _Runner:
    """Calls one update again and again, each call with the state that the last one left."""

    def __init__(self, subject: Subject, clock: Clock) -> None:
        self._subject, self._clock = subject, clock
        self._state = jax.tree.map(jnp.copy, subject.state)
        self._run(1)  # the first call allocates
        quickest = max(min(self._run(1), self._run(1), self._run(1)), 1e-9)
        self.calls = min(max(math.ceil(TURN / quickest), FEWEST), MOST)

    def turn(self) -> float:
        """Seconds that an update takes, after a call that brings its data near again."""
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
    """Median, quartiles and all values, one a round."""
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
        measured: the subject.
        reference: what its times are divided by, round by round.
        examples: in an update.
    """
    pairs = zip(measured.seconds, reference.seconds, strict=True)
    own = spread(measured.seconds)
    return {
        "calls_per_round": measured.calls,
        "finite": measured.finite,
        "step_time_s": own,
        "ratio": spread([mine / other for mine, other in pairs]),
        "steps_per_s": 1 / own["median"],
        "examples_per_s": examples / own["median"],
    }
