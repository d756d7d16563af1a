"""One run from its first step, or from its last checkpoint, to its summary."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from compiler.named_arrays.random_streams import key_data
from fgspec.data.dataset import AnyLabels, Dataset, Images
from fgspec.data.pipeline import (
    IdentifiedBatches,
    Rows,
    TrainBatches,
    chosen_examples,
    evaluation_batches,
    fingerprint,
    train_batches,
)
from fgspec.errors import DamagedRecord, ResumeError, RunError
from fgspec.loading.resolved import Difference, spec_hash
from fgspec.loading.spec_file import Loaded, load, tracked
from fgspec.problems.problems import dotted
from fgspec.processes.join import from_first, is_first, refuse_disagreement
from fgspec.show.lines import say
from fgspec.show.progress import Reporter
from fgspec.show.text import expectation
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.metrics import leading
from fgspec.spec.phases import spans
from fgspec.training import loop
from fgspec.training.bundle import keep_bundle
from fgspec.training.checkpoint import Checkpointer, Restored, newest
from fgspec.training.following import Followers
from fgspec.training.health import Broken
from fgspec.training.logbook import Logbook, Seal, kept_at
from fgspec.training.logbook import read as read_lines
from fgspec.training.loop import Functions, Outlets, Position, Timetable
from fgspec.training.manifest import arrays_digest
from fgspec.training.profile import Profile, profiled
from fgspec.training.provenance import collect
from fgspec.training.records import read_record, write_record
from fgspec.training.resuming import (
    change_lines,
    continued,
    data_record,
    ended_done,
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
    new_fields,
    refuse_changed,
    refuse_other_packages,
    reopen,
    write_summary,
)
from fgspec.training.run_log import SEAL
from fgspec.training.steps import steps_in
from fgspec.training.unwritable import unwritable

START = "start"
"""The name of the digest of initial parameters that were read, among the hashes of a run."""


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
        stops: lets signals wait, and asks whether one came; see `stopping_together`.
        resident: whether the training set is on the device already.
        rows: places in every training batch that this process reads.
        profile: which steps to trace, if any.
        refuse_lost_lock: raises if this process is no longer the run's writer.
        info: what the plan knows of the data.
        given: initial parameters that are not drawn.
    """

    course: Course
    program: Functions
    timetable: Timetable
    dataset: Dataset
    console: Console
    stops: Callable[[], AbstractContextManager[Callable[[], bool]]]
    resident: bool = False
    rows: Rows = None
    profile: Profile | None = None
    refuse_lost_lock: Callable[[], None] = lambda: None
    info: DatasetInfo | None = None
    given: Callable[[], Mapping[str, Any]] = dict

    @property
    def loaded(self) -> Loaded:
        """The resolved spec."""
        return self.course.loaded

    @property
    def per_epoch(self) -> int:
        """Updates of a pass over the training set."""
        return len(self.dataset.train_labels) // self.loaded.experiment.data.batch_size

    def data_fingerprint(self) -> str:
        """Of everything that decides the batches."""
        experiment = self.loaded.experiment
        return fingerprint(self.dataset, experiment.data.batch_size, experiment.order_seed)

    def _batches(self) -> TrainBatches:
        data, spec = self.dataset, self.loaded.experiment
        sized = (spec.data.batch_size, spec.order_seed, self.timetable.total)
        return TrainBatches(data.train_images, data.train_labels, *sized, self.rows)

    @contextmanager
    def training_batches(self, start: int) -> Iterator[Iterator[Any]]:
        """Records of the steps after `start`."""
        batches = self._batches()
        if self.resident:
            yield chosen_examples(batches, start)
            return
        with closing(
            train_batches(IdentifiedBatches(batches), start, self.dataset.reading)
        ) as reading:
            yield reading

    def about(self, step: int, examples: str) -> dict[str, float | str]:
        """What a line of the log at `step` holds beside metrics."""
        return {
            "epoch": step / self.per_epoch,
            "learning_rate": self.program.learning_rate(step - 1),
            "examples": examples,
        }

    def phase(self, step: int) -> dict[str, float]:
        """The phase of update number `step`, counted from 1, as a metric of a run that has some."""
        phases = self.loaded.experiment.phases
        ended = [span.stop < step for span in spans(phases, self.per_epoch)]
        return {"train/phase": float(1 + sum(ended))} if phases else {}

    def places(self, start: int, stop: int) -> NDArray[np.int32]:
        """Places in the training set of the examples of the steps after `start`, [steps, B]."""
        batches = self._batches()
        return np.stack([batches.examples(step) for step in range(start, stop)])

    def test_batches(self) -> Iterator[Any]:
        """One pass over the test set."""
        return self._evaluated(self.dataset.test_images, self.dataset.test_labels)

    def validation_batches(self) -> Iterator[Any]:
        """One pass over the validation set."""
        return self._evaluated(self.dataset.valid_images, self.dataset.valid_labels)

    def _evaluated(self, images: Images, labels: AnyLabels) -> Iterator[Any]:
        size = self.loaded.experiment.data.evaluation_batch_size
        return evaluation_batches(images, labels, size)


def find(
    loaded: Loaded | None,
    at: Path | None,
    resume: Path | None,
    overrides: Sequence[str] = (),
    fork: bool = False,
    track: Sequence[str] = (),
) -> Course:
    """What is to be trained, and what there is of it.

    Args:
        loaded: the spec to train; if None, that of the run.
        at: the folder of a run, which may not have begun.
        resume: the folder of a run, which has.
        overrides: set over the spec of the run, if `loaded` is None.
        fork: whether a new run begins at the last checkpoint of `resume`.
        track: trackers beside those of the spec, or of the run.

    Raises:
        ResumeError: the run cannot be gone on with, or not with this spec.
        SpecError: there is no such tracker.
        UserError: the processes of the run do not say the same.
    """
    if at is not None and begun(at):
        if fork and resume is not None:  # a command that is repeated goes on with what it began
            refuse_other_parent(at, resume)
            fork, resume = False, at
        resume = resume or at
    spec = spec_hash(loaded) if loaded is not None else None
    refuse_disagreement({"the spec": spec, "the run to resume": resume})
    if resume is None:
        if loaded is None:
            raise TypeError("train needs a spec, or a run to resume")
        return Course(tracked(loaded, track))
    run, before = reopen(resume)
    refuse_other_packages(run)
    refuse_changed(run, before)
    if loaded is None:
        loaded = load(run.resolved, overrides) if overrides else before
    loaded, changed = continued(run, before, tracked(loaded, track), fork=fork)
    own, parent = (None, run) if fork else (run, None)
    return Course(loaded, own, parent, before, tuple(changed))


def start(job: Job, run_dir: Path, at: Path | None) -> RunDir:
    """Make the folder of a new run, below `run_dir` or `at` a place, and describe the run in it.

    Raises:
        UserError: the folder cannot be created.
    """

    def made() -> str:
        run = create(job.loaded, run_dir) if at is None else create_at(job.loaded, at)
        return str(run.path)

    run = RunDir(Path(from_first(made)))
    # Without its first checkpoint a fork has not begun: one that is cut off here begins again.
    forked = {} if job.course.parent is None else {"lineage": _fork(job, run, job.course.parent)}
    if is_first():
        with unwritable(run, going_on(run)):
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
            f"damaged, or do not fit these values:\n{error}"
        ) from None
    if restored is None:
        raise ResumeError(f"{parent.path}: cannot be forked: it has no checkpoint yet; resume it")
    refuse_length_over(parent, job.timetable.total, restored.step)
    if not any(one.path[0] == "data" for one in course.changed):
        instead = "set data.source.path=PATH if the fork should train on other data"
        refuse_other_data(parent, job.loaded, job.dataset, restored.extra.get("data"), instead)
    checkpoints = Checkpointer(run.checkpoints, keep=1, identity=spec_hash(job.loaded))
    try:
        # The parent's open window averages its own metrics, and stays there.
        consumed = {name: restored.extra[name] for name in ("examples",) if name in restored.extra}
        extra = {"data": job.data_fingerprint(), "window": {}, **consumed}
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
    begins = {START: arrays_digest(job.given())} if spec.start_from and not forked else {}
    record = collect(
        command=sys.argv,
        hashes={"spec": spec_hash(job.loaded), "data": job.data_fingerprint(), **begins},
        seeds={"seed": spec.seed, "data": spec.order_seed},
        source_dir=Path.cwd(),
    )
    said = {"overrides": list(job.loaded.overrides), "methods": job.loaded.packages()}
    if rule := job.loaded.rule:
        said["rule"] = rule
    if trackers := job.loaded.packages(decide=False):
        said["trackers"] = trackers
    if code := job.loaded.code():
        said["code"] = code
    write_record(
        run.provenance,
        record | said | {"data": data_record(job.loaded, job.dataset, job.info)} | dict(forked),
    )


def going_on(run: RunDir) -> str:
    """The command that resumes a run, as a line ends with it."""
    if jax.process_count() > 1:
        return "resume with the same command in every process"
    return f"resume with: fgspec train --resume {shlex.quote(str(run.path))}"


def execute(job: Job, run: RunDir) -> dict[str, Any]:
    """Run a job from the last intact checkpoint of its folder, or from the start, to its end.

    Returns:
        What `summary.json` holds; without metrics in other processes than the first.

    Raises:
        RunError: a number is no longer finite, a loss diverged, or the run's folder can no longer
            be written.
        ResumeError: its checkpoints or its log cannot be trusted, or its data changed.
        Preempted: the process was told to stop; the state is saved.
    """
    with unwritable(run, going_on(run)), ExitStack() as until_saved:
        return _executed(job, run, until_saved)


def _executed(job: Job, run: RunDir, until_saved: ExitStack) -> dict[str, Any]:
    spec = job.loaded.experiment
    checkpoints = Checkpointer(
        run.checkpoints, keep=spec.checkpoint.keep, identity=began_as(run, job.loaded)
    )
    try:
        on_disk = steps_in(run.checkpoints)
        refuse_disagreement({"the data": job.data_fingerprint(), "the checkpoints": on_disk})
        restored = checkpoints.restore(job.program.abstract(), partial(_kept_lines, run))
        step = restored.step if restored is not None else 0
        if unsaid := new_fields(run):
            say(
                job.console,
                (
                    "note: this run is older than these fields, which have their defaults: "
                    f"{', '.join(unsaid)}"
                ),
            )
        refuse_disagreement({"the newest intact checkpoint": step})
        _refuse_other_start(job, run, restored)
        if restored is None:
            _refuse_other_beginning(job, run)
        checkpoints.set_aside_damaged()
        _take_up(job, run, step)
        with _logbook(job, run, restored) as log:
            state = restored.state if restored is not None else job.program.init(spec.seed)
            # Until here a signal loses nothing, and may end the process at once.
            stopping = until_saved.enter_context(job.stops())
            ended, best = _train(job, run, checkpoints, log, restored, state, stopping)
            log.over(_status(ended))
    finally:
        checkpoints.close()
    refuse_disagreement({"how the run ended": type(ended)})  # waits for what others still write
    return _finish(job, run, ended, checkpoints.newest(), log, best)


def _kept_lines(run: RunDir, restored: Restored) -> bytes:
    """What stays of the log where a run is resumed from a checkpoint.

    Raises:
        DamagedRecord: it is not what the checkpoint was saved with.
    """
    seal = Seal.read(restored.extra.get(SEAL))
    return kept_at(run.metrics, restored.step, f"checkpoint {restored.step}", seal)


def _refuse_other_start(job: Job, run: RunDir, restored: Restored | None) -> None:
    if restored is None and (run.summary.exists() or went_on(run)):
        raise ResumeError(
            f"{run.path}: cannot be resumed: it was trained, but its checkpoints are gone; start "
            "a new run"
        )
    saved = None if restored is None else restored.extra.get("data")
    instead = "start a new run on the present data: fgspec train SPEC"
    refuse_other_data(run, job.loaded, job.dataset, saved, instead)


def _refuse_other_beginning(job: Job, run: RunDir) -> None:
    """Raise if what a run began with is another today; it has no checkpoint that holds it."""
    recorded = read_record(run.provenance)["hashes"].get(START)
    if recorded is not None and recorded != (found := arrays_digest(job.given())):
        raise ResumeError(
            f"{run.path}: start_from: these parameters have changed since the run started (digest "
            f"{found[:8]}, recorded {recorded[:8]}); restore the old ones, or start a new run"
        )


def _take_up(job: Job, run: RunDir, step: int) -> None:
    """Record what the run goes on with that it did not have before; in process 0."""
    changed = job.course.changed if job.course.run is not None else ()
    if is_first() and changed:
        record(run, changed, job.loaded, step)
        for line in change_lines(changed):
            say(job.console, line)
    if is_first() and step < job.timetable.total and ended_done(run):
        run.summary.unlink()  # a run that goes on is not done; the record of the change has it


@dataclass(frozen=True)
class _Log:
    """The log of a run as its loop and its end need it; of process 0, whose files these are.

    Attributes:
        write: (step, metrics, hash of the examples consumed) -> a line, for trackers too.
        over: (how the run ended), told to trackers.
        seal: what checkpoints and the summary hold of it.
        values: the last of each metric.
    """

    write: Callable[[int, Mapping[str, float], str], None] = lambda step, metrics, examples: None
    over: Callable[[str], None] = lambda status: None
    seal: Callable[[], Mapping[str, Any]] = dict
    values: Callable[[], Mapping[str, float]] = dict


@contextmanager
def _logbook(job: Job, run: RunDir, restored: Restored | None) -> Iterator[_Log]:
    """The log, without the lines of steps that will be done again."""
    if not is_first():
        yield _Log()
        return
    followers = Followers(job.loaded.experiment.training.trackers, partial(say, job.console))
    kept = b"" if restored is None else _kept_lines(run, restored)
    with Logbook(run.metrics, kept) as logbook:
        _drop_summary_of_more(run, logbook.seal())
        followers.open(run.path, job.loaded.values())

        def write(step: int, metrics: Mapping[str, float], examples: str) -> None:
            about = job.about(step, examples)
            values = {**metrics, "train/learning_rate": float(about["learning_rate"])}
            values |= job.phase(step)
            logbook.write(step, values, about)
            followers.log(step, values)

        try:
            yield _Log(
                write, followers.close, lambda: {SEAL: asdict(logbook.seal())}, logbook.last_values
            )
        finally:
            followers.close("failed")  # of those that are open still: the run ended by an error


def _drop_summary_of_more(run: RunDir, kept: Seal) -> None:
    """Remove a summary that is damaged, or tells of lines that are no more: they are redone."""
    try:
        seal = Seal.read(read_record(run.summary).get(SEAL)) if run.summary.exists() else None
    except DamagedRecord:
        run.summary.unlink()
        return
    if seal is not None and seal.size > kept.size:
        run.summary.unlink()


def _train(
    job: Job,
    run: RunDir,
    checkpoints: Checkpointer,
    log: _Log,
    restored: Restored | None,
    state: Any,
    stopping: Callable[[], bool],
) -> tuple[Exception | None, Mapping[str, Any]]:
    """Train to the end; what ended the run before that, if anything, and its best evaluation."""
    timetable, data = job.timetable, job.data_fingerprint()
    at = Position() if restored is None else Position.saved(restored.step, restored.extra)
    # After a fork, another interval, or an end that an older version did not keep open.
    kept = len(next(iter(at.window.values()), ()))
    if kept != at.step % timetable.log_every:
        note = f"the next averages include {kept} steps up to step {at.step}"
        say(job.console, f"note: {note}")

    best: Mapping[str, Any] = {} if restored is None else restored.extra.get("best", {})

    def save(step: int, state: Any, extra: Mapping[str, Any]) -> None:
        nonlocal best
        job.refuse_lost_lock()
        best = extra.get("best", {})
        # Beside the best of a run that ends here, that of a longer one: it may go on.
        marks = (best, extra.get("marks", {}).get("best", {}))
        checkpoints.preserve(mark["step"] for mark in marks if mark)
        checkpoints.save(step, state, {"data": data, **log.seal(), **extra})

    leads, lower = leading(job.loaded.experiment.data, job.loaded.experiment.losses)
    before = [line[leads] for line in read_lines(run.metrics) if leads in line]
    shown_best = (min if lower else max)(before, default=None) if is_first() and at.step else None
    reporter = Reporter(timetable.total, at.step, job.console, job.per_epoch, shown_best)
    try:
        outlets = Outlets(log.write, save, reporter.show, stopping)
        span = (at.step, timetable.total)
        with (
            profiled(
                job.program, job.profile, span, run.profile, partial(say, job.console)
            ) as program,
            job.training_batches(at.step) as training,
        ):
            sources = (training, job.test_batches)
            validation = job.validation_batches if len(job.dataset.valid_labels) else None
            loop.train(program, state, sources, timetable, outlets, at, validation)
    except loop.Preempted as ended:
        return loop.Preempted(f"{ended}; {going_on(run)}"), best
    except RunError as ended:
        return ended, best
    finally:
        reporter.close()
    return None, best


def _finish(
    job: Job,
    run: RunDir,
    ended: Exception | None,
    saved: int,
    log: _Log,
    best: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the summary, from what this process wrote; raise what ended the run, if anything."""
    if not is_first():
        if ended is not None:
            raise ended
        return {"status": "done", "step": saved, "metrics": {}}
    metrics, extra, step = log.values(), dict(log.seal()), saved
    if isinstance(ended, Broken):
        ended = RunError(f"{ended}; {_bundle(job, run, ended, saved)}")
    if isinstance(ended, RunError):
        extra["reason"] = str(ended)
    if ended is None:
        extra |= expectation(job.loaded.experiment.expect, metrics)
        extra |= {"stopped_early": True} if step < job.timetable.total else {}
    extra |= {"best": dict(best)} if best else {}
    summary = write_summary(run, _status(ended), step, metrics, extra)
    if ended is not None:
        raise ended
    return summary


def _bundle(job: Job, run: RunDir, broken: Broken, saved: int) -> str:
    """Keep what a replay of the steps up to the broken one needs; a line about it."""
    good = f"step {saved} is the last good checkpoint" if saved else "there is no checkpoint yet"
    try:
        seed, examples = job.loaded.experiment.seed, job.places(saved, broken.step)
        key = [int(part) for part in key_data(seed)]
        path = keep_bundle(run, broken, saved, examples, seed, key)
    except OSError as error:  # such as a full disk; what broke is told nevertheless
        return f"{good}; no bundle was saved ({error.strerror or error})"
    return f"{good}; to see where it started: fgspec replay {path}"


def _status(ended: Exception | None) -> str:
    return {type(None): "done", loop.Preempted: "preempted"}.get(type(ended), "failed")
