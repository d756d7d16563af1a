"""`fgspec sweep`."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import jax
import typer
from rich.console import Console

from compiler.compile import compile_plan
from compiler.cost.by_part import dissect
from compiler.cost.update_flops import update_flops
from fgspec import api
from fgspec.check.against_data import not_installed
from fgspec.cli.arguments import ArgumentError, nested, then, written
from fgspec.errors import UserError
from fgspec.loading.resolved import resolved_text
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import SpecError, nearest
from fgspec.processes.stopping import advise, deferred, told
from fgspec.spec.baselines import ProgramCost
from fgspec.spec.kinds import working
from fgspec.spec.metrics import leading
from fgspec.sweeps.engine import Site, Watch, outcome, run_all
from fgspec.sweeps.engines import ENGINES, SweepEngine
from fgspec.sweeps.expand import Search, Sweep, fitted, load_sweep, of_arms
from fgspec.sweeps.folder import Planned, RunStatus, SweepDir, fail, locked, record, status
from fgspec.sweeps.live import followed
from fgspec.sweeps.search import (
    Arms,
    Trial,
    best,
    chosen_next,
    remember,
    remembered,
    required,
    values_of,
)
from fgspec.sweeps.show import plan_lines, status_lines
from fgspec.training.logbook import write_text
from fgspec.training.loop import Preempted

AT_HAND = "processes"
"""The engine of `--jobs` without `--on`."""

GOES_ON = "repeat the sweep's command to finish all runs"
"""The advice when a sweep in this process is stopped."""


def run(
    file: Path,
    overrides: list[str] | None,
    run_dir: Path,
    jobs: int | None,
    on: str | None,
    resources: list[str] | None,
    retries: int,
    list_only: bool,
    write: Path | None,
) -> None:
    """What `fgspec sweep` does."""
    where = chosen(on, jobs, resources, retries)
    sweep = fitted(load_sweep(file, overrides or ()), _program_cost)
    costs = costs_of(sweep)
    print("\n".join(plan_lines(sweep, costs)), flush=True)
    if write is not None:
        if sweep.search is not None:
            raise ArgumentError("sweep: --write: a search chooses its arms while it runs")
        _write(sweep, write)
    if list_only or write is not None:
        return
    found = (
        train_all(sweep, costs, run_dir, where)
        if sweep.search is None
        else search_all(sweep, sweep.search, run_dir, where)
    )
    print("\n".join(status_lines(found)))
    if any(one.state == "done" for one in found):
        then("report", run_dir / sweep.name)
    if any(one.state != "done" for one in found):
        raise typer.Exit(1)


def _write(sweep: Sweep, folder: Path) -> None:
    with written("sweep: --write", folder):
        for arm in sweep.arms:
            write_text(folder / f"{arm.label}.yaml", resolved_text(arm.loaded))
    print(f"specs of all arms: {folder}")


def _program_cost(loaded: Loaded) -> ProgramCost:
    """The cost of a spec's program, from its trace."""
    loaded.refuse(not_installed(loaded.experiment))
    plan = api.plan(loaded)

    def temporary_bytes() -> int:
        return sum(dissect(compile_plan(plan)).memory.values())

    return ProgramCost(update_flops(plan), plan.steps, temporary_bytes)


def costs_of(sweep: Sweep) -> dict[str, tuple[int, int]]:
    """For every arm's label, the FLOPs of an update and the number of updates of a run.

    Raises:
        SpecError: `fgspec.api.plan` refuses an arm; so this is known before any arm is trained.
    """
    costs, wrong = dict[str, tuple[int, int]](), dict[str, list[str]]()
    for arm in sweep.arms:
        try:
            api.refuse_untold(arm.loaded)
            arm.loaded.refuse(not_installed(arm.loaded.experiment))
            plan = api.plan(arm.loaded)
            costs[arm.label] = (update_flops(plan), plan.steps)
        except UserError as error:
            for line in str(error).splitlines():
                wrong.setdefault(line, []).append(arm.label)
    if wrong:
        raise SpecError([of_arms(line, arms, len(sweep.arms)) for line, arms in wrong.items()])
    return costs


@dataclass(frozen=True)
class Where:
    """Where runs are trained, according to the command line.

    Attributes:
        engine: the name of an engine in `ENGINES`; None for this process.
        jobs: how many runs are trained at a time, if it was given.
        resources: the resources that each run asks for.
        retries: how often a run is tried again after its process died.
    """

    engine: str | None = None
    jobs: int | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 1


def chosen(
    on: str | None, jobs: int | None, resources: Sequence[str] | None, retries: int = 1
) -> Where:
    """Where runs are trained, from the options of the command line.

    Raises:
        ArgumentError: there is no such engine, or a resource is not given as NAME=VALUE.
    """
    if on is not None and on not in ENGINES.names():
        raise ArgumentError(f"--on: {nearest(on, ENGINES.names())} (got {on})")
    engine = on or (AT_HAND if jobs is not None else None)
    if resources and (engine is None or not _engine(engine).resources):
        able = (name for name in ENGINES.names() if _engine(name).resources)
        raise ArgumentError(f"--resource: needs {' or '.join(f'--on {name}' for name in able)}")
    return Where(engine, jobs, nested(resources or (), "--resource"), retries)


def _engine(name: str) -> type[SweepEngine]:
    return cast(type[SweepEngine], ENGINES.kind(name))


def train_all(
    sweep: Sweep, costs: dict[str, tuple[int, int]], run_dir: Path, where: Where
) -> list[RunStatus]:
    """Train all runs that are not done, and print a line for each; returns the status of all runs.

    Raises:
        Preempted: the sweep was told to stop; the message says what happens to the runs.
        UserError: the engine cannot be used as requested.
    """
    folder = SweepDir(run_dir / sweep.name)
    with locked(folder, _say) as lock:
        _say(f"sweep {folder.path}")
        _refuse_others(folder, where)
        planned = record(folder, sweep, {label: steps for label, (_, steps) in costs.items()})
        todo = [one.planned for one in status(folder, planned) if not one.over]
        if len(todo) < len(planned):
            _say(f"{len(planned) - len(todo)} of {len(planned)} runs ended already")
        return _train(folder, lock, planned, todo, where)


def _say(line: str) -> None:
    print(line, flush=True)


def _refuse_others(folder: SweepDir, where: Where) -> None:
    """Raise if another engine is still training runs of the sweep."""
    for name in ENGINES.names():
        if name != where.engine and _engine(name).outlives:
            working(_engine(name)()).refuse_under_way(folder)


def _train(
    folder: SweepDir, lock: int, planned: list[Planned], todo: list[Planned], where: Where
) -> list[RunStatus]:
    """Train the runs of `todo` in a locked sweep; returns the status of all its runs."""
    for one in todo:
        folder.failure(one).unlink(missing_ok=True)
    if where.engine is None:
        with followed(folder, planned, Console()):
            _train_here(folder, todo, _say)
    elif todo:
        site = Site(folder, lock, where.jobs, where.resources, _say)
        engine = working(_engine(where.engine)()).begin(site)
        with deferred() as stopping, followed(folder, planned, Console()):
            run_all(folder, todo, engine, Watch(where.retries, _say, stopping))
    return status(folder, planned)


def search_all(sweep: Sweep, search: Search, run_dir: Path, where: Where) -> list[RunStatus]:
    """Let optuna choose arms and train them, until there are as many as the sweep asks for.

    Enough arms are chosen at a time to keep all jobs busy. Arms that were chosen but not trained
    come first, so that a search continues where it was stopped.

    Raises:
        Preempted, UserError: as `train_all`.
    """
    required()
    folder, drawn = SweepDir(run_dir / sweep.name), search.drawn
    at_once = -(-(where.jobs or 1) // len(sweep.seeds))
    experiment = sweep.arms[0].loaded.experiment
    metric, lower = leading(experiment.data, experiment.losses)
    with locked(folder, _say) as lock:
        _say(f"sweep {folder.path}")
        _refuse_others(folder, where)
        choices, arms, found = (
            remembered(folder, drawn)[: drawn.count],
            Arms(sweep),
            list[RunStatus](),
        )
        if choices:
            _say(f"{len(choices)} of {drawn.count} arms were chosen already")
        while True:
            for choice in choices[len(arms.labels) :]:
                _add(arms, search, values_of(drawn, choice))
            if arms.kept:
                more = (drawn.count - len(choices)) * len(sweep.seeds)
                planned = record(folder, arms.as_sweep(), arms.steps, max(more, 0))
                todo = [one.planned for one in status(folder, planned) if not one.over]
                found = _train(folder, lock, planned, todo, where)
            reached = arms.reached(found, metric)
            if len(choices) >= drawn.count:
                _say(best(arms, reached, metric, lower))
                return found
            trials = [Trial(*pair) for pair in zip(choices, reached, strict=True)]
            choices += chosen_next(drawn, trials, lower, min(at_once, drawn.count - len(choices)))
            remember(folder, drawn, choices)


def _add(arms: Arms, search: Search, values: Mapping[str, Any]) -> None:
    """Add an arm. An arm that cannot be trained is left out, and its trial counts as failed."""
    number = len(arms.labels) + 1
    try:
        arm = search.arm(number, values)
        (cost,) = costs_of(replace(arms.sweep, arms=(arm,))).values()
    except SpecError as error:
        _say(f"trial-{number} is left out: {error.lines[0]}")
        arms.leave_out()
    else:
        arms.add(arm, cost[1])


def _train_here(folder: SweepDir, todo: list[Planned], say: Callable[[str], None]) -> None:
    """Train runs one after the other; if one fails for any reason, the others are still trained."""
    for planned in todo:
        (found,) = status(folder, [planned])
        try:
            if found.run is not None:
                api.train(resume=found.run)
            else:
                spec = load(folder.spec(planned.arm), [f"seed={planned.seed}"])
                api.train(spec, run_dir=folder.path)
        except Preempted as stopped:
            raise Preempted(f"{planned}: {stopped}, or {GOES_ON}") from None
        except Exception as error:
            fail(folder, planned, _reason(error, folder.log(planned)))
        advise(GOES_ON)
        if told():  # the request to stop came while the run was ending
            raise Preempted(f"stopped after {planned}; {GOES_ON}")
        jax.clear_caches()  # compiled programs of many runs would use up all memory mappings
        say(outcome(*status(folder, [planned])))


def _reason(error: Exception, log: Path) -> str:
    """Why a run failed. The traceback of an unexpected error is written to the run's log."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'fgspec'}: {error.strerror}"
    log.parent.mkdir(exist_ok=True)
    with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}; its traceback is in {log}"
