"""One run from its first step, or from its last checkpoint, to its summary."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from fgspec.data.dataset import Dataset
from fgspec.data.pipeline import (
    Rows,
    TrainBatches,
    chosen_examples,
    evaluation_batches,
    fingerprint,
    train_batches,
)
from fgspec.errors import ResumeError, RunError
from fgspec.loading.resolved import Difference, spec_hash
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import dotted
from fgspec.processes.join import from_first, is_first, refuse_disagreement
from fgspec.show.text import Reporter, expectation
from fgspec.training import loop
from fgspec.training.checkpoint import Checkpointer, Restored, newest
from fgspec.training.following import Followers
from fgspec.training.logbook import Logbook, write_json
from fgspec.training.loop import Functions, Outlets, Timetable
from fgspec.training.profile import Profile, profiled
from fgspec.training.provenance import collect
from fgspec.training.resuming import (
    change_lines,
    data_record,
    ended_done,
    going_on,
    lineage,
    record,
    refuse_length_over,
    refuse_other_data,
    refuse_other_parent,
    went_on,
)
from fgspec.training.run_folder import (
    RunDir,
    began_as,
    begun,
    create,
    create_at,
    last_step,
    new_fields,
    refuse_changed,
    refuse_other_packages,
    reopen,
    write_summary,
)


@dataclass(frozen=True)
class Course:
    """What is to be trained, and what there is of it.

    Attributes:
        loaded: the spec to train.
        run: the run to go on with; None for a new one.
        parent: the run that a new one is a fork of, if any.
        before: the spec that the run, or its parent, has had so far.
        changed: the fields in which `loaded` differs from that.
    """

    loaded: Loaded
    run: RunDir | None = None
    parent: RunDir | None = None
    before: Loaded | None = None
    changed: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Job:
    """What is run.

    Attributes:
        course: the resolved spec, and the run that it is of.
        program: its pure functions.
        timetable: when it logs, evaluates and saves.
        dataset: read as it says.
        console: where progress is shown.
        stopping: whether the run was told to stop.
        resident: whether the training set is on the device already.
        rows: places in every training batch that this process reads.
        profile: which steps to trace, if any.
    """

    course: Course
    program: Functions
    timetable: Timetable
    dataset: Dataset
    console: Console
    stopping: Callable[[], bool]
    resident: bool = False
    rows: Rows = None
    profile: Profile | None = None

    @property
    def loaded(self) -> Loaded:
        """The resolved spec."""
        return self.course.loaded

    def data_fingerprint(self) -> str:
        """Of everything that decides the batches."""
        experiment = self.loaded.experiment
        return fingerprint(self.dataset, experiment.data.batch_size, experiment.order_seed)

    @contextmanager
    def training_batches(self, start: int) -> Iterator[Iterator[Any]]:
        """Records of the steps after `start`."""
        data, spec = self.dataset, self.loaded.experiment
        sized = (spec.data.batch_size, spec.order_seed, self.timetable.total)
        batches = TrainBatches(data.train_images, data.train_labels, *sized, self.rows)
        if self.resident:
            yield chosen_examples(batches, start)
            return
        with closing(train_batches(batches, start, data.reading)) as reading:
            yield reading

    def test_batches(self) -> Iterator[Any]:
        """One pass over the test set."""
        size = self.loaded.experiment.data.evaluation_batch_size
        return evaluation_batches(self.dataset.test_images, self.dataset.test_labels, size)


def find(
    loaded: Loaded | None,
    at: Path | None,
    resume: Path | None,
    overrides: Sequence[str] = (),
    fork: bool = False,
) -> Course:
    """What is to be trained, and what there is of it.

    Args:
        loaded: the spec to train; if None, that of the run.
        at: the folder of a run, which may not have begun.
        resume: the folder of a run, which has.
        overrides: set over the spec of the run, if `loaded` is None.
        fork: whether a new run begins at the last checkpoint of `resume`.

    Raises:
        ResumeError: the run cannot be gone on with, or not with this spec.
        UserError: the processes of the run do not say the same.
    """
    if at is not None and begun(at):
        if fork and resume is not None:  # a command that is repeated goes on with what it began
            refuse_other_parent(at, resume)
            fork, resume = False, at
        resume = resume or at
    spec = spec_hash(loaded) if loaded is not None else None
    refuse_disagreement({"the spec": spec, "the run to go on with": resume})
    if resume is None:
        if loaded is None:
            raise TypeError("train needs a spec or a run to resume")
        return Course(loaded)
    run, before = reopen(resume)
    refuse_other_packages(run)
    refuse_changed(run, before)
    if loaded is None:
        loaded = load(run.resolved, overrides) if overrides else before
    loaded, changed = going_on(run, before, loaded, fork=fork)
    own, parent = (None, run) if fork else (run, None)
    return Course(loaded, own, parent, before, tuple(changed))


def start(job: Job, run_dir: Path, at: Path | None) -> RunDir:
    """Make the folder of a new run, below `run_dir` or `at` a place, and describe the run in it.

    Raises:
        UserError: the folder cannot be made.
    """

    def made() -> str:
        run = create(job.loaded, run_dir) if at is None else create_at(job.loaded, at)
        return str(run.path)

    run = RunDir(Path(from_first(made)))
    # Without its first checkpoint a fork has not begun: one that is cut off here begins again.
    forked = {} if job.course.parent is None else {"lineage": _fork(job, run, job.course.parent)}
    if is_first():
        _describe(job, run, forked)
    return run


def _fork(job: Job, run: RunDir, parent: RunDir) -> dict[str, Any]:
    """Copy the last intact checkpoint of `parent` into a new run; what the run records of it."""
    course = job.course
    assert course.before is not None
    try:
        restored = newest(
            parent.checkpoints, began_as(parent, course.before), job.program.abstract()
        )
    except ResumeError as error:
        named = ", ".join(dotted(one.path) for one in course.changed) or "no field"
        raise ResumeError(
            f"{parent.path}: cannot be forked with other values of {named}: its checkpoints are "
            f"damaged, or do not fit these:\n{error}"
        ) from None
    if restored is None:
        raise ResumeError(f"{parent.path}: cannot be forked: it has no checkpoint yet; resume it")
    refuse_length_over(parent, job.timetable.total, restored.step)
    if not any(one.path[0] == "data" for one in course.changed):
        instead = "say with --set data.source.path=PATH that the fork is to learn from others"
        refuse_other_data(parent, job.loaded, job.dataset, restored.extra.get("data"), instead)
    checkpoints = Checkpointer(run.checkpoints, keep=1, identity=spec_hash(job.loaded))
    try:
        # The parent's open window averages its own metrics, and stays there.
        extra = {"data": job.data_fingerprint(), "window": {}}
        checkpoints.save(restored.step, restored.state, extra)
    finally:
        checkpoints.close()
    for line in (
        f"forked from {parent.path} at step {restored.step}",
        *change_lines(course.changed),
    ):
        job.console.print(line, highlight=False, soft_wrap=True, markup=False)
    return lineage(parent, course.changed, course.before, restored.step)


def _describe(job: Job, run: RunDir, forked: Mapping[str, Any]) -> None:
    spec = job.loaded.experiment
    record = collect(
        command=sys.argv,
        hashes={"spec": spec_hash(job.loaded), "data": job.data_fingerprint()},
        seeds={"seed": spec.seed, "data": spec.order_seed},
        source_dir=Path.cwd(),
    )
    said = {"overrides": list(job.loaded.overrides), "methods": job.loaded.packages()}
    if code := job.loaded.code():
        said["code"] = code
    write_json(
        run.provenance,
        record | said | {"data": data_record(job.loaded, job.dataset)} | dict(forked),
    )


def execute(job: Job, run: RunDir) -> dict[str, Any]:
    """Run a job from the last intact checkpoint of its folder, or from the start, to its end.

    Returns:
        What `summary.json` holds; without metrics in other processes than the first.

    Raises:
        RunError: a loss is no longer finite.
        ResumeError: its checkpoints cannot be trusted or its data changed.
        Preempted: the process was told to stop; the state is saved.
    """
    spec = job.loaded.experiment
    checkpoints = Checkpointer(
        run.checkpoints, keep=spec.checkpoint.keep, identity=began_as(run, job.loaded)
    )
    try:
        on_disk = sorted(path.name for path in run.checkpoints.iterdir() if path.name.isdigit())
        refuse_disagreement({"the data": job.data_fingerprint(), "the checkpoints": on_disk})
        restored = checkpoints.restore(job.program.abstract())
        step = restored.step if restored is not None else 0
        if unsaid := new_fields(run):
            job.console.print(f"note: began before these fields were: {', '.join(unsaid)}")
        refuse_disagreement({"the newest intact checkpoint": step})
        _refuse_other_start(job, run, restored)
        _take_up(job, run, step)
        with _logbook(job, run, step) as (write, over):
            ended = _train(job, run, (checkpoints, write), restored)
            over(_status(ended))
    finally:
        checkpoints.close()
    refuse_disagreement({"how the run ended": type(ended)})  # waits for what others still write
    return _finish(job, run, ended)


def _refuse_other_start(job: Job, run: RunDir, restored: Restored | None) -> None:
    if restored is None and (run.summary.exists() or went_on(run)):
        raise ResumeError(
            f"{run.path}: cannot be resumed: it was trained before but has no checkpoint any more, "
            "and would begin again; start a new run"
        )
    saved = None if restored is None else restored.extra.get("data")
    instead = "begin a run on these: fgspec train SPEC"
    refuse_other_data(run, job.loaded, job.dataset, saved, instead)


def _take_up(job: Job, run: RunDir, step: int) -> None:
    """Record what the run goes on with that it did not have before; in process 0."""
    changed = job.course.changed if job.course.run is not None else ()
    if is_first() and changed:
        record(run, changed, job.loaded, step)
        for line in change_lines(changed):
            job.console.print(line, highlight=False, soft_wrap=True, markup=False)
    if is_first() and step < job.timetable.total and ended_done(run):
        run.summary.unlink()  # a run that goes on is not done; the record of the change has it


Write = Callable[[int, Mapping[str, float]], None]


@contextmanager
def _logbook(job: Job, run: RunDir, step: int) -> Iterator[tuple[Write, Callable[[str], None]]]:
    """What writes a line of metrics, and what is told how the run ended; in process 0.

    Lines after `step` are dropped. Trackers receive each line once it is written.
    """
    if not is_first():
        yield lambda step, metrics: None, lambda status: None
        return
    say = partial(job.console.print, highlight=False, soft_wrap=True, markup=False)
    followers = Followers(job.loaded.experiment.training.trackers, say)
    with Logbook(run.metrics) as logbook:
        logbook.truncate(step)
        followers.open(run.path, job.loaded.values())

        def write(step: int, metrics: Mapping[str, float]) -> None:
            logbook.write(step, metrics)
            followers.log(step, metrics)

        try:
            yield write, followers.close
        finally:
            followers.close("failed")  # of those that are open still: the run ended by an error


def _train(
    job: Job, run: RunDir, kept: tuple[Checkpointer, Write], restored: Restored | None
) -> Exception | None:
    (checkpoints, write), say = kept, partial(job.console.print, highlight=False, soft_wrap=True)
    spec, timetable = job.loaded.experiment, job.timetable
    state = restored.state if restored is not None else job.program.init(spec.seed)
    start = restored.step if restored is not None else 0
    window = restored.extra["window"] if restored is not None else {}
    data = job.data_fingerprint()
    # After a fork, another interval, or an end that an older version did not keep open.
    if (kept := len(next(iter(window.values()), ()))) != start % timetable.log_every:
        say(f"note: the next averages are over {kept} steps up to step {start}, and those after it")

    def save(step: int, state: Any, extra: Mapping[str, Any]) -> None:
        checkpoints.save(step, state, {"data": data} | dict(extra))

    reporter = Reporter(timetable.total, start, job.console)
    try:
        outlets = Outlets(write, save, reporter.show, job.stopping)
        span = (start, timetable.total)
        with (
            profiled(job.program, job.profile, span, run.profile, say) as program,
            job.training_batches(start) as training,
        ):
            sources = (training, job.test_batches)
            loop.train(program, state, sources, timetable, outlets, (start, window))
    except (loop.Preempted, RunError) as ended:
        return ended
    finally:
        reporter.close()
    return None


def _finish(job: Job, run: RunDir, ended: Exception | None) -> dict[str, Any]:
    if not is_first():
        if ended is not None:
            raise ended
        return {"status": "done", "step": job.timetable.total, "metrics": {}}
    status = _status(ended)
    last = write_summary(run, status, last_step(run), {})
    extra = expectation(job.loaded.experiment.expect, last["metrics"]) if ended is None else {}
    if ended is not None:
        raise ended
    return write_summary(run, status, job.timetable.total, extra)


def _status(ended: Exception | None) -> str:
    return {type(None): "done", loop.Preempted: "preempted"}.get(type(ended), "failed")


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGTERM or SIGINT into a request to stop after the step; yields the question.

    A second signal acts as it always did.
    """
    asked: list[int] = []
    before = {}

    def remember(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, remember)
    except ValueError:  # not in the main thread, which alone may handle signals
        before = {}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
