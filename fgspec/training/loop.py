"""The one loop over steps; it knows functions, batches, checkpoints and a logbook, no rules."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from fgspec.errors import STOPPED, RunError, UserError

Batch = Mapping[str, Any]
"""Arrays of examples by name, as the program takes them."""


class Preempted(UserError):
    """A run stopped because it was told to, after saving its state."""

    exit_code = STOPPED


@dataclass(frozen=True)
class Functions:
    """The pure functions of a compiled program.

    Attributes:
        init: seed -> the state before the first step.
        abstract: () -> the state's shapes, each with where its array lies.
        updates: (state, records) -> (state, metrics), of any number of steps: every array of the
            records and of the metrics has a leading axis of them; may take the state's buffers for
            its result.
        evaluate: (state, batch) -> sums over the batch: `loss`, the objective's metrics, `count`.
        diagnose: (state, records of one step) -> what that step's estimate is worth.
        steps: that a call of `updates` makes where nothing interrupts it.
    """

    init: Callable[[int], Any]
    abstract: Callable[[], Any]
    updates: Callable[[Any, Batch], tuple[Any, Mapping[str, Any]]]
    evaluate: Callable[[Any, Batch], Mapping[str, Any]]
    diagnose: Callable[[Any, Batch], Mapping[str, Any]]
    steps: int = 1


@dataclass(frozen=True)
class Timetable:
    """Which steps do more than update; all counts are updates.

    Attributes:
        total: of the whole run.
        log_every: a line of metrics, averaged since the last.
        evaluate_every: a pass over the test set; the last step always has one.
        checkpoint_every: the state is saved; the last step's always is.
        batch_size: examples in an update.
        diagnose_every: the estimate is measured before the update; 0 is never.
    """

    total: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    batch_size: int
    diagnose_every: int = 0

    def due(self, step: int, every: int) -> bool:
        """Whether `step` ends an interval of `every` updates, or the run."""
        return self.on_grid(step, every) or step == self.total

    @staticmethod
    def on_grid(step: int, every: int) -> bool:
        """Whether `step` ends an interval of `every` updates, however long the run is."""
        return step % every == 0

    def diagnoses(self, step: int) -> bool:
        """Whether the estimate of `step` is measured."""
        return self.diagnose_every > 0 and self.due(step, self.diagnose_every)

    def stride(self, step: int, most: int) -> int:
        """Updates of the call after `step`: `most` if nothing is due before the last, else one."""
        inside = range(step + 1, step + most)
        looks = (self.log_every, self.evaluate_every, self.checkpoint_every)
        stops = any(self.due(s, every) for s in inside for every in looks)
        measured = any(self.diagnoses(s) for s in range(step + 1, step + most + 1))
        return 1 if stops or measured or step + most > self.total else most


@dataclass
class Window:
    """The metrics of the steps since the last line, fetched from the device only when read."""

    steps: list[Mapping[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    timed: int = 0

    def add(self, metrics: Mapping[str, Any], waited: float, count: int) -> None:
        """Keep the metrics of `count` steps and the seconds they waited for their batches."""
        self.steps.append(metrics)
        self.waited += waited
        self.timed += count

    def values(self) -> dict[str, list[float]]:
        """Every metric of every step, in order."""
        self.steps = jax.device_get(self.steps)
        names = self.steps[0] if self.steps else ()
        return {name: [float(v) for step in self.steps for v in step[name]] for name in names}

    def close(self, batch_size: int, kept: bool = False) -> dict[str, float]:
        """Means of the metrics and the times since the last call; starts anew.

        Args:
            batch_size: examples in an update.
            kept: whether the metrics count in the next line too.
        """
        means = {name: float(np.mean(v)) for name, v in self.values().items()}
        seconds = time.perf_counter() - self.started
        per_step = seconds / max(self.timed, 1)
        means["perf/step_time_s"] = per_step
        means["perf/examples_per_s"] = batch_size / per_step
        means["data/wait_s"] = self.waited / max(self.timed, 1)
        self.steps, self.waited, self.timed = self.steps if kept else [], 0.0, 0
        self.started = time.perf_counter()
        return means

    @contextmanager
    def paused(self, state: Any) -> Iterator[None]:
        """Leave what happens inside out of the times; `state` is awaited first."""
        jax.block_until_ready(state)
        before = time.perf_counter()
        yield
        self.started += time.perf_counter() - before

    def resume(self, values: Mapping[str, list[float]]) -> None:
        """Take up the steps of a window that a checkpoint interrupted."""
        self.steps = [values] if values else []


@dataclass(frozen=True)
class Outlets:
    """Where a loop's results go.

    Attributes:
        write: (step, metrics) -> a line of the logbook.
        save: (step, state, what else must survive) -> a checkpoint.
        show: (step, metrics known so far) -> progress for a person.
        stopping: whether the run was told to stop.
    """

    write: Callable[[int, Mapping[str, float]], None]
    save: Callable[[int, Any, Mapping[str, Any]], None]
    show: Callable[[int, Mapping[str, float]], None]
    stopping: Callable[[], bool]


def evaluate(
    program: Functions, state: Any, batches: Callable[[], Iterable[Batch]]
) -> dict[str, float]:
    """One pass over the test set: the mean loss and the means of the objective's metrics."""
    totals = Counter[str]()
    for batch in batches():
        sums = jax.device_get(program.evaluate(state, batch))
        totals.update({name: float(total) for name, total in sums.items()})
    count = totals.pop("count")
    return {f"eval/{name}": total / count for name, total in totals.items()}


def train(
    program: Functions,
    state: Any,
    batches: tuple[Iterator[Batch], Callable[[], Iterable[Batch]]],
    timetable: Timetable,
    outlets: Outlets,
    resumed: tuple[int, Mapping[str, list[float]]] = (0, {}),
) -> Any:
    """Run every step after the resumed one.

    Args:
        program: pure functions.
        state: before the next step.
        batches: records of training batches from the next step on; a function that gives the test
            batches.
        timetable: when to log, evaluate and save.
        outlets: where results go.
        resumed: updates already done, and the metrics of a window they left open.

    Returns:
        The state after the last step.

    Raises:
        RunError: a loss is no longer finite.
        Preempted: told to stop; the state is saved.
    """
    (step, open_window), (training, test) = resumed, batches
    window, known = Window(), dict[str, float]()
    window.resume(open_window)
    while step < timetable.total:
        count = timetable.stride(step, program.steps)
        asked = time.perf_counter()
        records = _stacked([next(training) for _ in range(count)])
        waited = time.perf_counter() - asked
        # What is due for no other reason than the end of the run has a line of its own, and leaves
        # the window open: a longer run writes the others, and these just so.
        record: dict[str, float] = {}
        at_end: dict[str, float] = {}
        if timetable.diagnoses(step + 1):
            where = record if timetable.on_grid(step + 1, timetable.diagnose_every) else at_end
            with window.paused(state):
                where |= _fetched(program.diagnose(state, records))
        state, metrics = program.updates(state, records)
        step += count
        window.add(metrics, waited, count)
        if timetable.due(step, timetable.log_every):
            ends = not timetable.on_grid(step, timetable.log_every)
            where = at_end if ends else record
            where |= window.close(timetable.batch_size, kept=ends)
        if timetable.due(step, timetable.evaluate_every):
            where = record if timetable.on_grid(step, timetable.evaluate_every) else at_end
            with window.paused(state):
                where |= evaluate(program, state, test)
        for line in (record, at_end):
            if line:
                outlets.write(step, line)
                known |= line
                _refuse_divergence(step, line)
        stopping = outlets.stopping()
        if stopping or timetable.due(step, timetable.checkpoint_every):
            with window.paused(state):
                outlets.save(step, state, {"window": window.values()})
        outlets.show(step, known)
        if stopping and step < timetable.total:
            raise Preempted(f"stopped at step {step} of {timetable.total}; its state is saved")
    return state


def _stacked(records: Sequence[Batch]) -> Batch:
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def _fetched(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(metrics).items()}


def _refuse_divergence(step: int, record: Mapping[str, float]) -> None:
    for name in ("train/loss", "eval/loss"):
        if not math.isfinite(record.get(name, 0.0)):
            raise RunError(
                f"step {step}: {name} is {record[name]}; "
                "a smaller optimizer.learning_rate often helps; earlier checkpoints are kept"
            )
