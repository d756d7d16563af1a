"""The verbs of fgspec for Python, which the command line calls too.

import fgspec

spec = fgspec.load("specs/quickstart.yaml", ["training.epochs=3"])
program = fgspec.compile(spec)
state = program.init(spec.experiment.seed)
summary = fgspec.train(spec)
classes = fgspec.restore(summary["run"]).predict(images)
changes = fgspec.diff("specs/a.yaml", "specs/b.yaml")
consequences = fgspec.compare("specs/a.yaml", "specs/b.yaml").consequences
"""

import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from compiler.compile import compile_plan
from compiler.cost.by_part import dissect
from compiler.cost.compiled import compiled_update, lower_update
from compiler.cost.scopes import scopes
from compiler.cost.updates_per_call import calls_of
from compiler.plan.plan import Plan, make_plan
from compiler.update.program import Program
from compiler.update.state import State
from fgspec import notebook
from fgspec.check.against_data import data_problems, not_installed, refusals
from fgspec.check.mesh import device_problems
from fgspec.comparing.comparison import (
    Comparison,
    Probing,
    of_fields,
    with_consequences,
    with_probe,
)
from fgspec.comparing.contract import base, broken, untold
from fgspec.data.dataset import Dataset
from fgspec.data.describe import describe
from fgspec.data.moments import moments_of
from fgspec.data.pipeline import GRAIN
from fgspec.data.sources import read
from fgspec.data.validation import described, divided
from fgspec.errors import DataError, ResumeError, RunError, UserError
from fgspec.errors.arguments import (
    WrongArgument,
    refuse_no_overrides,
    refuse_no_path,
    refuse_no_texts,
)
from fgspec.explaining.explanation import Explanation
from fgspec.explaining.explanation import explain as explained
from fgspec.loading import spec_file as source
from fgspec.loading.from_mapping import NAME as MAPPING
from fgspec.loading.from_mapping import yaml_of
from fgspec.loading.merge import keys_of
from fgspec.loading.resolved import Difference, differences
from fgspec.loading.spec_file import Loaded
from fgspec.problems.problems import MISSING, Problem, SpecError, lookup
from fgspec.processes.join import from_first, is_first, process_problems
from fgspec.processes.join import stopping_together as stop_signals
from fgspec.processes.stopping import advise
from fgspec.results.report import Report, Reporter
from fgspec.show.bias_notes import notes
from fgspec.show.lines import say
from fgspec.show.plan_tables import cost_rows
from fgspec.show.progress import waiting
from fgspec.show.scaling_text import mesh_rows
from fgspec.show.text import table
from fgspec.spec.experiment import Experiment
from fgspec.spec.flax_module import MODULES
from fgspec.spec.kinds import working
from fgspec.spec.leading import stopping_metric
from fgspec.spec.mesh import fill
from fgspec.spec.metrics import leading
from fgspec.trained.evaluation import Evaluation
from fgspec.trained.export import export
from fgspec.trained.model import Model, alone, restore
from fgspec.trained.start import Beginning
from fgspec.trained.steps import NEWEST, Step
from fgspec.training import run_folder as rundir
from fgspec.training.bundle import read_bundle
from fgspec.training.checkpoint import ORBAX, newest
from fgspec.training.compile_cache import CacheUse, compilation_cache
from fgspec.training.device_calls import functions, rows_of, timed
from fgspec.training.jax_settings import refuse_interpreting, refuse_missing_backend
from fgspec.training.lock import Writer
from fgspec.training.loop import Timetable
from fgspec.training.out_of_memory import enough_memory
from fgspec.training.profile import Profile
from fgspec.training.records import read_record
from fgspec.training.replay import Replay, replayed
from fgspec.training.resuming import refuse_length
from fgspec.training.run import Course, Job, execute, find, going_on, start
from fgspec.training.run_log import columns_of
from fgspec.training.selection import Watch
from fgspec.training.timings import Timings
from fgspec.training.which_run import the_run

LOG = logging.getLogger("fgspec")

notebook.join()

__all__ = [
    "Comparison",
    "DataError",
    "Evaluation",
    "Explanation",
    "Loaded",
    "Model",
    "Probing",
    "Program",
    "Report",
    "ResumeError",
    "RunError",
    "SpecError",
    "State",
    "UserError",
    "compare",
    "compile",
    "diff",
    "evaluate",
    "explain",
    "export",
    "load",
    "metrics",
    "plan",
    "report",
    "restore",
    "train",
]

Spec = Loaded | str | Path | Mapping[str, Any]
"""A spec that `load` returned, or anything that `load` takes."""

SPECS = "the path of a YAML file, YAML text, a mapping, or what fgspec.load returns"


def load(spec: Spec, overrides: Sequence[str] = ()) -> Loaded:
    """Read, merge, validate and complete a spec.

    Args:
        spec: the path of a YAML file; YAML text, which has more than one line or begins with `{`;
            or a mapping with the same content. Only a file can extend another.
        overrides: `path=value` strings as given to `--set`.

    Raises:
        SpecError: the spec is wrong; there is one line for each mistake.
        UserError: an argument has the wrong type, or `overrides` are given for a spec that is
            already loaded.
    """
    return _loaded(spec, overrides, "load: spec")


def _loaded(spec: Spec, overrides: Sequence[str] = (), name: str = "spec") -> Loaded:
    """The spec that an argument stands for; `name` is the argument's name in errors."""
    refuse_no_overrides(f"{name.partition(':')[0]}: overrides", overrides)
    if isinstance(spec, Loaded):
        if overrides:
            raise UserError("overrides: the spec is already loaded; give overrides to fgspec.load")
        return spec
    if isinstance(spec, Mapping):
        return source.loads(yaml_of(spec), MAPPING, overrides)
    if isinstance(spec, str) and ("\n" in spec or spec.lstrip().startswith("{")):
        return source.loads(spec, overrides=overrides)
    if not isinstance(spec, str | PathLike):
        raise WrongArgument(name, spec, SPECS)
    return source.load(fspath(spec), overrides)


def plan(spec: Spec, *, here: bool = True) -> Plan:
    """Plan a spec: shapes, named axes, where losses are, and which losses each element learns from.

    Args:
        spec: the spec.
        here: whether this machine must have the devices of its mesh. If False, the mesh is kept as
            the spec says, including sizes of -1.

    Raises:
        SpecError: the spec is wrong, breaks its contract, does not fit its data, or is not
            supported.
        DataError, UserError: files of an `npz` or `image_folder` are missing or cannot be read.
        UserError: JAX was told to use devices that this machine does not have.
    """
    loaded = _loaded(spec, name="plan: spec")
    loaded.refuse([*broken(loaded), *refusals(loaded.experiment)])
    refuse_missing_backend()
    data = loaded.experiment.data
    info = described(describe(data.source, loaded.search), data.validation)
    loaded.refuse(data_problems(loaded.experiment, info))
    experiment = _on_devices(loaded) if here else loaded.experiment
    try:
        return make_plan(experiment, info)
    except UserError as error:
        _refuse_at(loaded, str(error))
        raise


def _refuse_at(loaded: Loaded, message: str) -> None:
    """Raise an error of the compiler with the field's place in the file, if it names a field."""
    name, _, text = message.partition(": ")
    path = keys_of(name)
    if text and lookup(loaded.values(), path) is not MISSING:
        loaded.refuse([Problem(path, text, shows=False)])


def _on_devices(loaded: Loaded) -> Experiment:
    """The experiment on the devices of this machine, or of all processes that were joined."""
    devices = jax.device_count()
    loaded.refuse(device_problems(loaded.experiment, devices, jax.default_backend()))
    mesh = fill(loaded.experiment.mesh, devices)
    loaded.refuse(process_problems(mesh, devices, jax.process_count()))
    return loaded.experiment.on(mesh)


def compile(spec: Spec, *, network: Any = None) -> Program:
    """Compile a spec to pure functions; see `compiler.update.program.Program`.

    Args:
        spec: the spec.
        network: a Flax NNX module for a spec whose architecture is `{type: flax}`, without a
            `module`. Training begins with its parameters, whatever the seed. It is not changed.

    Raises:
        SpecError, DataError: as `plan`.
        UserError: a network is given for a spec that already has one.
    """
    loaded = _loaded(spec, name="compile: spec")
    planned = plan(loaded := loaded if network is None else _with_network(loaded, network))
    return compile_plan(planned, Beginning(planned, loaded.search))


def _with_network(loaded: Loaded, network: Any) -> Loaded:
    """The spec with a given Flax module as its architecture."""
    own = working(loaded.experiment.architecture).holding(network)
    return replace(loaded, experiment=loaded.experiment.model_copy(update={"architecture": own}))


def diff(a: Spec, b: Spec) -> list[Difference]:
    """The fields in which two resolved specs differ, with both values and their origins.

    Raises:
        SpecError: one of the specs is wrong.
    """
    return differences(_loaded(a, name="diff: a"), _loaded(b, name="diff: b"))


def explain(spec: Spec) -> Explanation:
    """Explain a spec's learning rule: words, equations, bias, variance, cost and a picture.

    Raises:
        SpecError, DataError: as `plan`.
    """
    return explained(plan(_loaded(spec, name="explain: spec")))


def compare(a: Spec, b: Spec, probe: Probing | None = None) -> Comparison:
    """Show how two specs differ, and which parts of the computation this changes.

    Args:
        a: a spec.
        b: the spec to compare it with.
        probe: how to measure the quality of their gradient estimates on a batch of their data; None
            measures nothing.

    Raises:
        SpecError, DataError: as `plan`, for either spec.
    """
    left, right = _loaded(a, name="compare: a"), _loaded(b, name="compare: b")
    found = of_fields(left, right)
    if found.fields:
        found = with_consequences(found, plan(left, here=False), plan(right, here=False))
    if probe is not None:
        with compilation_cache():
            (one, data), (other, others) = (_with_data(alone(spec)) for spec in (left, right))
            found = with_probe(found, one, data, other, others, probe)
    return found


def refuse_untold(spec: Loaded) -> None:
    """Refuse a spec that changes more parts of the computation than its contract lists.

    Raises:
        SpecError: it changes parts that `ablation.touches` does not list.
    """
    if spec.ablation is not None and spec.ablation.touches is not None:
        found = compare(base(spec), spec).consequences
        changed = {one.group: (*one.changed, *one.removed, *one.added) for one in found}
        spec.refuse(untold(spec.ablation, changed))


def train(
    spec: Spec | None = None,
    *,
    run_dir: str | Path = "runs",
    run: str | Path | None = None,
    resume: str | Path | None = None,
    overrides: Sequence[str] = (),
    fork: bool = False,
    console: Console | None = None,
    profile: int = 0,
    network: Any = None,
    break_lock: bool = False,
    timings: Timings | None = None,
    track: str | Sequence[str] = (),
) -> dict[str, Any]:
    """Train a spec in a new folder below `run_dir`, or resume the run at `resume`.

    If `jax.distributed.initialize` has joined several processes, all of them must call this with
    the same arguments. Only process 0 writes and prints.

    Args:
        spec: the spec to train. With `resume` it may be left out; if it is given, it may differ
            from the run's spec in the fields that allow it (`x-resume` in the schema).
        run_dir: the folder of all runs.
        run: the folder of the run, instead of a new one. If the run exists, it is resumed.
        resume: the folder of an existing run.
        overrides: `path=value` strings as given to `--set`. They change the spec, or that of the
            run to resume: `["training.epochs=500"]` makes it longer.
        fork: whether to begin a new run at the last checkpoint of `resume`, with another spec. The
            new run records where it comes from.
        console: where the cost table and the progress are shown. By default they are shown in a
            notebook, and nowhere else.
        profile: how many updates to trace, after a few to warm up. Traces go to the run's folder.
        network: always refused. A run is resumed from what is on disk, so its Flax module must be
            registered. `compile` takes a module.
        break_lock: whether to take over a run that a process on another host has locked; use it
            only if that process has ended.
        timings: measures where the time goes until the first update is done, and shows it on the
            console.
        track: names of trackers to use in addition to `training.trackers`, such as
            `["tensorboard"]`, or one string with commas.

    Returns:
        The content of `summary.json`, and `run`, the run's folder. Only process 0 gets metrics.

    Raises:
        SpecError, DataError: as `plan`.
        ResumeError: the run cannot be resumed, or another process is training it.
        RunError: a number is no longer finite, a loss diverged, memory ran out, or the folder
            cannot be written.
        UserError: `profile` is larger than the number of updates, an argument has the wrong type,
            or JAX was told not to compile.
        Preempted: the process was told to stop; the state is saved.
    """
    for name, path in {"run_dir": run_dir, "run": run or "", "resume": resume or ""}.items():
        refuse_no_path(f"train: {name}", path, "a folder")
    more = names_of(track)
    if network is not None:
        raise UserError(
            "train: network: is only for fgspec.compile, because a run is resumed from its folder; "
            f"register the module under the entry points {MODULES} and name it in "
            "architecture.module"
        )
    if fork and resume is None:
        raise UserError("train: fork: needs the run to start from; give resume=RUN")
    refuse_interpreting()
    parts = Timings() if timings is None else timings
    with parts.part("read the spec"):
        given, over = _given(spec, overrides)
    at, begun = (Path(path) if path is not None else None for path in (run, resume))
    console = console or _notebook()
    console = console if is_first() else Console(quiet=True)
    with Writer(partial(say, console), breaking=break_lock) as writer:
        place = at if fork else begun or at  # the parent of a fork is read, but never written
        if place is not None and (place == at or place.is_dir()):
            advise("nothing is lost; repeat the command to resume")
            writer.take(place)  # before anything is read, because a writer may still be active
        with parts.part("read the spec"):
            course = find(given, at, begun, over, fork, more)
        course.loaded.refuse(not_installed(course.loaded.experiment))
        name = course.loaded.experiment.name
        place = course.run.path if course.run is not None else at or Path(run_dir) / name
        from_first(partial(_writable, place))
        with compilation_cache() as cache, enough_memory(name):
            with waiting("reading the data", console) as tell:
                job = _prepared(course, profile, console, cache, parts, tell)
            if timings is not None:
                job = replace(job, program=timed(job.program, timings, partial(say, console)))
            with parts.part("the run's folder"):
                found = course.run or start(job, Path(run_dir), at)
                writer.take(found.path)
            say(console, f"run {found.path}")
            advise(going_on(found))
            job = replace(job, refuse_lost_lock=writer.check)
            return execute(job, found) | {"run": str(found.path)}


def _notebook() -> Console:
    """The output of the cell in a notebook; outside of notebooks a console that shows nothing."""
    console = Console()
    console.quiet = not console.is_jupyter
    return console


def names_of(track: str | Sequence[str]) -> tuple[str, ...]:
    """The names of trackers in `track=` or `--track`, which may be separated by commas."""
    given = [track] if isinstance(track, str) else track
    refuse_no_texts("train: track", given, '["tensorboard"]')
    names = (name.strip() for one in given for name in one.split(","))
    return tuple(name for name in names if name)


def _writable(place: Path) -> str:
    rundir.refuse_unwritable(place)
    return str(place)


def _given(spec: Spec | None, overrides: Sequence[str]) -> tuple[Loaded | None, Sequence[str]]:
    """The spec to train, or None, and the overrides of the spec of the run to resume."""
    if spec is None:
        refuse_no_overrides("train: overrides", overrides)
        return None, overrides
    return _loaded(spec, overrides, "train: spec"), ()


def _prepared(
    course: Course,
    profile: int,
    console: Console,
    cache: CacheUse,
    parts: Timings,
    tell: Callable[[str], None],
) -> Job:
    """Prepare everything that a run needs: compile its update, and show its cost."""
    loaded = course.loaded
    with parts.part("plan, and read the data"):
        program, dataset = _with_data(loaded)
    if course.run is not None and course.before is not None:
        refuse_length(course.run, course.before, program.plan, course.run.last_step())
    if course.run is None and course.parent is None:
        program.given()  # read `start_from` before anything is compiled, because it may not fit
    timetable = _timetable(program.plan)
    if profile > timetable.total:
        raise UserError(
            f"train: profile: the run has only {timetable.total} steps; trace fewer (got {profile})"
        )
    tell("compiling")
    with parts.part("trace the update"):  # to choose how many updates a call makes
        calls = calls_of(program.plan)
    calls = calls._replace(steps=1) if profile else calls
    with parts.part("trace the update"):
        lowered = lower_update(program, calls)
    # XLA releases Python's GIL while it compiles. Meanwhile the cost is counted, the first state is
    # made, and what only the loop needs is imported. Several processes make no state beside it, as
    # all must run the same programs in one order.
    begins = course.run is None and course.parent is None and jax.process_count() == 1
    with ThreadPoolExecutor(3) as beside:
        made = beside.submit(compiled_update, program, lowered)
        first = beside.submit(program.init, loaded.experiment.seed) if begins else None
        imported = beside.map(importlib.import_module, (GRAIN, ORBAX))
        with parts.part("count what it costs"):
            anatomy = dissect(program)
            idle = program.plan.idle_params()
            said = [f"note: {note}" for note in notes(program.plan)]
        with parts.part("compile it, the rest"):
            compiled = made.result()
            list(imported)  # raise what an import raised
    rows = cost_rows(program.plan, compiled, anatomy, idle) | mesh_rows(program.plan)
    table(loaded.experiment.name, rows, console)
    for line in said + cache.lines():
        say(console, line)
    called = functions(program, dataset, calls, compiled.call)
    if first is not None:  # the run asks for it only once, with the spec's seed
        called = replace(called, init=lambda seed: first.result())
    traces = profile and is_first()
    traced = Profile(profile, lambda: scopes(compiled.call.as_text())) if traces else None
    reads = (calls.resident, rows_of(program, calls))
    info = program.plan.data
    outside = {"info": info, "given": program.given}
    return Job(course, called, timetable, dataset, console, stop_signals, *reads, traced, **outside)


def evaluate(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    other_data: bool = False,
    step: Step = NEWEST,
) -> dict[str, float]:
    """Evaluate a checkpoint of a run on the test set, on one device.

    `restore(run).evaluate()` returns more: the accuracy of every class, and the confusion matrix.

    Args:
        run: the folder of the run.
        overrides: `path=value` strings as given to `--set`, for fields of `data.source`.
        other_data: whether the data may differ from those that the run was trained with.
        step: which checkpoint; see `restore`.

    Returns:
        `test/loss`, `test/error`, `test/accuracy`, and the `step` of the checkpoint.

    Raises:
        ResumeError: there is no intact checkpoint, or the data differ.
        DataError: the data are missing or damaged.
        RunError: a loss is not finite.
    """
    refuse_no_path("evaluate: run", run, "the folder of a run")
    refuse_no_overrides("evaluate: overrides", overrides)
    found = restore(run, step, overrides=overrides, other_data=other_data).evaluate()
    return {"step": found.step, **found.metrics}


def metrics(run: str | Path) -> dict[str, list[float | None]]:
    """The log of a run as columns, for `pandas.DataFrame(fgspec.metrics(RUN))`.

    Args:
        run: the folder of the run, which may still be training.

    Returns:
        `step`, `time` (seconds since 1970-01-01 UTC), `epoch` and `learning_rate` if the log has
        them, then every metric. Each column has one value per line of the log, or None.

    Raises:
        ResumeError: it is not the folder of a run, or its log is damaged.
        UserError: `run` is not a path.
    """
    refuse_no_path("metrics: run", run, "the folder of a run")
    return columns_of(rundir.reopen(Path(run))[0])


def report(
    *runs: str | Path,
    metric: str | None = None,
    against: str | None = None,
    x: str = "updates",
) -> Report:
    """Compare runs and sweeps: means over seeds, the best arm, tables and figures.

    Figures need matplotlib; without it the report has none.

    Args:
        runs: folders of runs or sweeps, or short names for them: a name below `runs`, or `latest`.
        metric: the metric by which arms are compared. None means the objective's main metric, on
            the validation set if all runs have one, otherwise on the test set.
        against: the label of the arm that differences are taken to; None means the first.
        x: the horizontal axis of curves: updates, epochs, flops or seconds.

    Raises:
        UserError: there is no run, or no such metric, arm or axis, or an argument is not a path.
        ResumeError: a path is not the folder of a run, or all runs are damaged.
    """
    for path in runs:
        refuse_no_path("report: runs", path, "the folder of a run or of a sweep")
    if not runs:
        raise UserError("report: runs: give the folder of a run or of a sweep")
    paths = [the_run(Path(path)) for path in runs]
    return Reporter(paths, plan, metric=metric, against=against, x=x).report()


def replay(bundle: str | Path) -> Replay:
    """Repeat the steps up to where a run broke, on one device, and inspect the last one.

    Args:
        bundle: the folder that the run saved when it broke.

    Raises:
        UserError: there is no such folder.
        ResumeError: the folder was changed, or the code that it needs was.
        DataError: the data are missing, or differ from those of the run.
    """
    kept = read_bundle(Path(bundle))
    found, loaded = rundir.reopen(kept.run.path)
    rundir.refuse_changed(found, loaded)
    with compilation_cache():
        program, dataset = _with_data(alone(loaded))
        began = rundir.began_as(found, loaded)
        if not kept.start:
            state = program.init(loaded.experiment.seed)
        else:
            restored = newest(found.checkpoints, began, program.abstract())
            if restored is None:
                raise ResumeError(
                    f"{bundle}: its checkpoint is missing; copy it from the folder of the run"
                )
            state = restored.state
        data = read_record(found.provenance)["hashes"]["data"]
        return replayed(kept, program, dataset, state, data)


def _with_data(loaded: Loaded) -> tuple[Program, Dataset]:
    """The program and the data of a spec, with the numbers of examples found in the files."""
    planned, data = plan(loaded), loaded.experiment.data
    dataset = divided(read(data.source, loaded.search), data.validation)
    info = replace(
        planned.data,
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        valid_examples=len(dataset.valid_labels),
    )
    if data.validation is not None:  # the description was of all training images
        mean, std = data.source.given_moments() or moments_of(dataset.train_images)
        info = replace(info, mean=mean, std=std)
    loaded.refuse(data_problems(loaded.experiment, info))
    planned = make_plan(planned.experiment, info)
    return compile_plan(planned, Beginning(planned, loaded.search)), dataset


def _timetable(plan: Plan) -> Timetable:
    training, checkpoint = plan.experiment.training, plan.experiment.checkpoint
    measured, stop = plan.experiment.diagnostics.every, training.stop_early
    best = (
        Watch(*leading(plan.experiment.data, plan.experiment.losses)) if checkpoint.best else None
    )
    return Timetable(
        total=plan.steps,
        log_every=plan.steps_of(training.log_every),
        evaluate_every=plan.steps_of(training.evaluate_every),
        checkpoint_every=plan.steps_of(checkpoint.every),
        batch_size=plan.experiment.data.batch_size,
        diagnose_every=0 if measured is None else plan.steps_of(measured),
        best=best,
        progress=stop and Watch(*stopping_metric(plan.experiment), stop.min_change),
        patience=0 if stop is None else plan.steps_of(stop.patience),
    )
