"""One run from its first step, or from its last checkpoint, to its summary."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
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
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded
from fgspec.processes.join import from_first, is_first, refuse_disagreement
from fgspec.show.lines import say
from fgspec.show.text import Reporter, expectation
from fgspec.spec.trackers import Tracker
from fgspec.training import loop
from fgspec.training.checkpoint import Checkpointer, Restored
from fgspec.training.following import Followers
from fgspec.training.logbook import Logbook, write_json
from fgspec.training.loop import Functions, Outlets, Timetable
from fgspec.training.profile import Profile, profiled
from fgspec.training.provenance import collect
from fgspec.training.run_folder import (
    RunDir,
    began_as,
    begun,
    create,
    create_at,
    new_fields,
    refuse_other,
    reopen,
    write_summary,
)
from fgspec.training.steps import steps_in
from fgspec.training.unwritable import unwritable


@dataclass(frozen=True)
class Job:
    """What is run.

    Attributes:
        loaded: the resolved spec.
        program: its pure functions.
        timetable: when it logs, evaluates and saves.
        dataset: read as it says.
        console: where progress is shown.
        stops: lets signals wait, and asks whether one came; see `stopping_together`.
        resident: whether the training set is on the device already.
        rows: places in every training batch that this process reads.
        profile: which steps to trace, if any.
        trackers: that follow it; not those of `loaded` where a resumed run is given others.
        refuse_lost_lock: raises if this process is no longer the run's writer.
    """

    loaded: Loaded
    program: Functions
    timetable: Timetable
    dataset: Dataset
    console: Console
    stops: Callable[[], AbstractContextManager[Callable[[], bool]]]
    resident: bool = False
    rows: Rows = None
    profile: Profile | None = None
    trackers: tuple[Tracker, ...] = ()
    refuse_lost_lock: Callable[[], None] = lambda: None

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
    loaded: Loaded | None, at: Path | None, resume: Path | None
) -> tuple[RunDir | None, Loaded, Loaded]:
    """The run to go on with, if any; the spec it was started with; the spec to train.

    Args:
        loaded: the spec to train; if None, that of the run.
        at: the folder of a run, which may not have begun.
        resume: the folder of a run, which has.

    Raises:
        ResumeError: the run cannot be gone on with, or not with this spec.
        UserError: the processes of the run do not say the same.
    """
    if resume is None and at is not None and begun(at):
        resume = at
    spec = spec_hash(loaded) if loaded is not None else None
    refuse_disagreement({"the spec": spec, "the run to go on with": resume})
    if resume is not None:
        run, recorded = reopen(resume)
        refuse_other(run, recorded, loaded or recorded)
        return run, recorded, loaded or recorded
    if loaded is None:
        raise TypeError("train needs a spec or a run to resume")
    return None, loaded, loaded


def start(job: Job, run_dir: Path, at: Path | None) -> RunDir:
    """Make the folder of a new run, below `run_dir` or `at` a place, and describe the run in it.

    Raises:
        UserError: the folder cannot be made.
    """

    def made() -> str:
        run = create(job.loaded, run_dir) if at is None else create_at(job.loaded, at)
        return str(run.path)

    run = RunDir(Path(from_first(made)))
    if is_first():
        with unwritable(run, going_on(run)):
            _describe(job, run)
    return run


def _describe(job: Job, run: RunDir) -> None:
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
    write_json(run.provenance, record | said)


def going_on(run: RunDir) -> str:
    """The command that resumes a run, as a line ends with it."""
    if jax.process_count() > 1:
        return "go on with the same command in every process"
    return f"go on with: fgspec train --resume {shlex.quote(str(run.path))}"


def execute(job: Job, run: RunDir) -> dict[str, Any]:
    """Run a job from the last intact checkpoint of its folder, or from the start, to its end.

    Returns:
        What `summary.json` holds; without metrics in other processes than the first.

    Raises:
        RunError: a loss is no longer finite, or the run's folder can no longer be written.
        ResumeError: its checkpoints cannot be trusted or its data changed.
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
        restored = checkpoints.restore(job.program.abstract())
        step = restored.step if restored is not None else 0
        if unsaid := new_fields(run):
            say(job.console, f"note: began before these fields were: {', '.join(unsaid)}")
        refuse_disagreement({"the newest intact checkpoint": step})
        _refuse_other_data(job, run, restored)
        owed = restored is not None and "owed" in restored.extra
        with _logbook(job, run, step - owed) as (write, over):
            state = restored.state if restored is not None else job.program.init(spec.seed)
            # Until here a signal loses nothing, and may end the process at once.
            stopping = until_saved.enter_context(job.stops())
            ended = _train(job, run, (checkpoints, write), restored, state, stopping)
            over(_status(ended))
    finally:
        checkpoints.close()
    refuse_disagreement({"how the run ended": type(ended)})  # waits for what others still write
    return _finish(job, run, ended)


def _refuse_other_data(job: Job, run: RunDir, restored: Restored | None) -> None:
    if restored is None and run.summary.exists():
        raise ResumeError(
            f"{run.path}: cannot be resumed: it has a summary but no checkpoint any more, and "
            "would begin again; start a new run"
        )
    if restored is not None and restored.extra["data"] != job.data_fingerprint():
        raise ResumeError(
            f"{run.path}: cannot be resumed: the {job.loaded.experiment.data.source} data "
            "differ from those it was started with (contents, order or batches)"
        )


Write = Callable[[int, Mapping[str, float]], None]


@contextmanager
def _logbook(job: Job, run: RunDir, step: int) -> Iterator[tuple[Write, Callable[[str], None]]]:
    """What writes a line of metrics, and what is told how the run ended; in process 0.

    Lines after `step` are dropped. Trackers receive each line once it is written.
    """
    if not is_first():
        yield lambda step, metrics: None, lambda status: None
        return
    followers = Followers(job.trackers, partial(say, job.console))
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
    job: Job,
    run: RunDir,
    kept: tuple[Checkpointer, Write],
    restored: Restored | None,
    state: Any,
    stopping: Callable[[], bool],
) -> Exception | None:
    checkpoints, write = kept
    timetable = job.timetable
    start = restored.step if restored is not None else 0
    extra = restored.extra if restored is not None else {}
    data = job.data_fingerprint()

    def save(step: int, state: Any, extra: Mapping[str, Any]) -> None:
        job.refuse_lost_lock()
        checkpoints.save(step, state, {"data": data} | dict(extra))

    reporter = Reporter(timetable.total, start, job.console)
    try:
        outlets = Outlets(write, save, reporter.show, stopping)
        span = (start, timetable.total)
        with (
            profiled(
                job.program, job.profile, span, run.profile, partial(say, job.console)
            ) as program,
            job.training_batches(start) as training,
        ):
            sources = (training, job.test_batches)
            resumed = (start, extra.get("window", {}))
            loop.train(program, state, sources, timetable, outlets, resumed, extra.get("owed"))
    except loop.Preempted as ended:
        return loop.Preempted(f"{ended}; {going_on(run)}")
    except RunError as ended:
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
    last = write_summary(run, status, run.last_step(), {})
    extra = expectation(job.loaded.experiment.expect, last["metrics"]) if ended is None else {}
    if ended is not None:
        raise ended
    return write_summary(run, status, job.timetable.total, extra)


def _status(ended: Exception | None) -> str:
    return {type(None): "done", loop.Preempted: "preempted"}.get(type(ended), "failed")
