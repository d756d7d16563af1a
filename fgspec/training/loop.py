"""The one loop over steps; it knows functions, batches, checkpoints and a logbook, no rules."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import jax
import numpy as np

from fgspec.data.pipeline import NOTHING_CONSUMED, consumed
from fgspec.errors import STOPPED, UserError
from fgspec.spec.metrics import TEST, VALID
from fgspec.training.health import Health
from fgspec.training.selection import Mark, Watch

Marks = Mapping[str, Mark]
"""The best evaluations so far, by what they are asked for: `best` and `progress`."""

Batch = Mapping[str, Any]
"""Arrays of examples by name, as the program takes them."""


class _Interrupted(Exception):
    """An evaluation was left, as the run was told to stop."""


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
        not_finite: state -> names of its arrays that hold a NaN or an infinity, in the order of
            the network.
        learning_rate: step -> that of the update after so many, before factors of readouts.
        scales: what each loss among the metrics is for a model that knows nothing.
    """

    init: Callable[[int], Any]
    abstract: Callable[[], Any]
    updates: Callable[[Any, Batch], tuple[Any, Mapping[str, Any]]]
    evaluate: Callable[[Any, Batch], Mapping[str, Any]]
    diagnose: Callable[[Any, Batch], Mapping[str, Any]]
    steps: int = 1
    not_finite: Callable[[Any], Sequence[str]] = lambda state: ()
    learning_rate: Callable[[int], float] = lambda step: math.nan
    scales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Timetable:
    """Which steps do more than update; all counts are updates.

    Attributes:
        total: of the whole run.
        log_every: a line of metrics, averaged since the last.
        evaluate_every: a pass over the validation set, or over the test set where there is none;
            the last step always has one, and one over the test set.
        checkpoint_every: the state is saved; the last step's always is.
        batch_size: examples in an update.
        diagnose_every: the estimate is measured before the update; 0 is never.
        best: by what an evaluation is the best so far, and saved; None: that is not asked.
        progress: what must get better for the run to go on; None: nothing.
        patience: how long it may take to do so.
    """

    total: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    batch_size: int
    diagnose_every: int = 0
    best: Watch | None = None
    progress: Watch | None = None
    patience: int = 0

    def due(self, step: int, every: int) -> bool:
        """Whether `step` ends an interval of `every` updates, or the run."""
        return self.on_grid(step, every) or step == self.total

    @staticmethod
    def on_grid(step: int, every: int) -> bool:
        """Whether `step` ends an interval of `every` updates, however long the run is."""
        return step % every == 0

    def marks(self, marks: Marks, step: int, metrics: Mapping[str, float]) -> Marks:
        """The best evaluations after the metrics of `step`, by what they are asked for."""
        watches = {"best": self.best, "progress": self.progress}
        found = {
            name: watch.after(marks.get(name), step, metrics)
            for name, watch in watches.items()
            if watch is not None
        }
        return {name: mark for name, mark in found.items() if mark is not None}

    def over(self, step: int, marks: Marks) -> bool:
        """Whether the run ends at `step`: its last, or an evaluation at which patience is out."""
        last = marks.get("progress") if self.progress is not None else None
        if last is None or not self.on_grid(step, self.evaluate_every):
            return step == self.total
        return step == self.total or step - last["step"] >= self.patience

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
    away: float = 0.0
    """Seconds spent on anything but updates, since the loop began."""

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

    def close(
        self, values: Mapping[str, list[float]], batch_size: int, kept: bool = False
    ) -> dict[str, float]:
        """Means of the window's `values` and the times since the last call; starts anew.

        Args:
            values: of the metrics of each step.
            batch_size: examples in an update.
            kept: whether the metrics count in the next line too.
        """
        means = _means(values)
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
        spent = time.perf_counter() - before
        self.started += spent
        self.away += spent

    def resume(self, values: Mapping[str, list[float]]) -> None:
        """Take up the steps of a window that a checkpoint interrupted."""
        self.steps = [values] if values else []


@dataclass(frozen=True)
class Outlets:
    """Where a loop's results go.

    Attributes:
        write: (step, metrics, hash of the examples consumed) -> a line of the logbook.
        save: (step, state, what else must survive) -> a checkpoint.
        show: (step, metrics known so far, seconds spent on anything but updates) -> progress for a
            person.
        stopping: whether the run was told to stop.
    """

    write: Callable[[int, Mapping[str, float], str], None]
    save: Callable[[int, Any, Mapping[str, Any]], None]
    show: Callable[[int, Mapping[str, float], float], None]
    stopping: Callable[[], bool]


def _never() -> bool:
    return False


Lines = tuple[Mapping[str, float], Mapping[str, float]]
"""Metrics of a step that are due anyway, and those that are due as the run ends."""


@dataclass(frozen=True)
class Position:
    """Where a run goes on: what a checkpoint keeps for the loop beside the state.

    Attributes:
        step: updates done.
        window: metrics of the steps since the last line.
        first: the first value of each loss that was logged.
        examples: the hash of the examples consumed.
        owed: the lines of the last update that still lack an evaluation, as the run was stopped
            during it.
        marks: the best evaluations, but not one that was there only because the run ended.
    """

    step: int = 0
    window: Mapping[str, list[float]] = field(default_factory=dict)
    first: Mapping[str, float] = field(default_factory=dict)
    examples: str = NOTHING_CONSUMED
    owed: Lines | None = None
    marks: Marks = field(default_factory=dict)

    @classmethod
    def saved(cls, step: int, extra: Mapping[str, Any]) -> Self:
        """That of a checkpoint; older ones have no more than the window."""
        names = ("first", "examples", "owed", "marks")
        kept = {name: extra[name] for name in names if name in extra}
        return cls(step, extra["window"], **kept)

    def extra(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        kept = {"window": self.window, "first": self.first, "examples": self.examples}
        kept |= {} if self.owed is None else {"owed": self.owed}
        return kept | ({"marks": self.marks} if self.marks else {})


Pass = Callable[[], Iterable[Batch]]
"""Gives the batches of one pass over a set of examples."""


def evaluate(
    program: Functions,
    state: Any,
    batches: Pass,
    stopping: Callable[[], bool] = _never,
    name: str = TEST,
) -> dict[str, float]:
    """Means over one pass, as `test/...`.

    Args:
        program: pure functions.
        state: before the next step.
        batches: gives the batches of one pass.
        stopping: whether to leave it after a batch, asked after each of them.
        name: of the set of examples.
    """
    totals = Counter[str]()
    for batch in batches():
        sums = jax.device_get(program.evaluate(state, batch))
        totals.update({name: float(total) for name, total in sums.items()})
        if stopping():
            raise _Interrupted
    count = totals.pop("count")
    return {f"{name}/{metric}": total / count for metric, total in totals.items()}


def train(
    program: Functions,
    state: Any,
    batches: tuple[Iterator[Batch], Pass],
    timetable: Timetable,
    outlets: Outlets,
    resumed: Position | None = None,
    validation: Pass | None = None,
) -> Any:
    """Run every step after the resumed one.

    Args:
        program: pure functions.
        state: before the next step.
        batches: records of training batches from the next step on, each with the places of its
            `examples` in the training set; a function that gives the test batches.
        timetable: when to log, evaluate and save.
        outlets: where results go.
        resumed: where to go on; None at the start.
        validation: gives the validation batches, if there are any. Then they are what the run is
            evaluated on, and the test batches are read once, at the end.

    Returns:
        The state after the last step.

    Raises:
        Broken: a number is no longer finite, or a loss diverged; nothing of it was saved.
        Preempted: told to stop; the state is saved.
    """
    at, (training, test) = resumed or Position(), batches
    step, examples, health = at.step, at.examples, Health(program.scales, at.first)
    window, known = Window(), dict[str, float]()
    window.resume(at.window)
    owed, marks = at.owed, at.marks

    def stopped() -> Preempted:
        return Preempted(f"stopped at step {step} of {timetable.total}; its state is saved")

    def save(
        values: Mapping[str, list[float]],
        owed: Lines | None = None,
        at_end: Mapping[str, float] | None = None,
    ) -> None:
        # What is broken is never saved, as it would push out the last good checkpoint.
        health.refuse_steps(step, values, partial(program.not_finite, state))
        health.refuse_losses(step, _means(values))
        health.refuse_state(step, program.not_finite(state))
        # The open window is saved too, so that a stopped run writes the lines of one that was not.
        kept = Position(step, window.values(), health.first, examples, owed, marks)
        best = timetable.marks(marks, step, at_end or {}).get("best")
        outlets.save(step, state, kept.extra() | ({} if best is None else {"best": best}))

    while owed is not None or not timetable.over(step, marks):
        # What is due for no other reason than the end of the run has a line of its own, and leaves
        # the window open: a longer run writes the others, and these just so.
        record: dict[str, float] = {}
        at_end: dict[str, float] = {}
        values: Mapping[str, list[float]] = {}
        if owed is None:
            count = timetable.stride(step, program.steps)
            asked = time.perf_counter()
            records = _stacked([next(training) for _ in range(count)])
            waited = time.perf_counter() - asked
            for consumed_by_step in records.pop("examples"):
                examples = consumed(examples, consumed_by_step)
            if timetable.diagnoses(step + 1):
                on_grid = timetable.on_grid(step + 1, timetable.diagnose_every)
                where = record if on_grid else at_end
                with window.paused(state):
                    where |= _known(program.diagnose(state, records))
            state, metrics = program.updates(state, records)
            step += count
            window.add(metrics, waited, count)
            if timetable.due(step, timetable.log_every):
                values = window.values()
                ends = not timetable.on_grid(step, timetable.log_every)
                where = at_end if ends else record
                where |= window.close(values, timetable.batch_size, kept=ends)
        else:
            (record, at_end), owed = map(dict, owed), None
        if timetable.due(step, timetable.evaluate_every):
            where = record if timetable.on_grid(step, timetable.evaluate_every) else at_end
            with window.paused(state):
                try:
                    if validation is not None:
                        where |= evaluate(program, state, validation, outlets.stopping, VALID)
                        where = at_end
                    ends = timetable.over(step, timetable.marks(marks, step, record))
                    if validation is None or ends or step == timetable.total:
                        where |= evaluate(program, state, test, outlets.stopping)
                except _Interrupted:
                    save(values, owed=(record, at_end))
                    raise stopped() from None
        marks = timetable.marks(marks, step, record)
        early = step < timetable.total and timetable.over(step, marks)
        if early and not timetable.on_grid(step, timetable.log_every):
            values = window.values()
            at_end |= window.close(values, timetable.batch_size, kept=True)
        for line in (record, at_end):
            if line:
                outlets.write(step, line, examples)
                known |= line
                # The line first: it tells more than the error.
                health.refuse_steps(step, values, partial(program.not_finite, state))
                health.refuse_line(step, line)
        # The end of a run needs no request; who asked to stop hears of it as an answer to none.
        stopping = step < timetable.total and not early and outlets.stopping()
        best = "best" in marks and marks["best"]["step"] == step
        if stopping or early or best or timetable.due(step, timetable.checkpoint_every):
            with window.paused(state):
                save(window.values(), at_end=at_end)
        outlets.show(step, known, window.away)
        if stopping:
            raise stopped()
    return state


def _stacked(records: Sequence[Batch]) -> dict[str, Any]:
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def _fetched(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(metrics).items()}


def _known(measures: Mapping[str, Any]) -> dict[str, float]:
    """Without those that this step did not define, which are NaN."""
    found = _fetched(measures)
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _means(values: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(each)) for name, each in values.items()}
