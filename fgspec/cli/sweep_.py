"""`fgspec sweep`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
import typer

from compiler.analyze.cost import cost
from fgspec import api
from fgspec.canonical import resolved_text
from fgspec.cli.options import SetOption
from fgspec.cli.train_ import RunDirOption
from fgspec.errors import RunError
from fgspec.logbook import write_text
from fgspec.run import stop_signals
from fgspec.source import load
from fgspec.sweeps.expand import Sweep, load_sweep
from fgspec.sweeps.folder import ENDED, Found, Planned, SweepDir, locked, record, status
from fgspec.sweeps.processes import Pool, outcome, run_processes
from fgspec.sweeps.show import plan_lines, status_lines

SweepFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep, a YAML file.")]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=256,
        help="Run so many processes at a time; without it, one run after the other in this one.",
    ),
]
RetriesOption = Annotated[
    int,
    typer.Option("--retries", min=0, help="Further tries of a run whose process died; --jobs."),
]
ListOption = Annotated[
    bool, typer.Option("--list", help="Only say which arms there are, and what they cost.")
]
WriteOption = Annotated[
    Path | None,
    typer.Option("--write", metavar="DIR", help="Only write every arm as a spec into this folder."),
]


def run(
    file: SweepFileArgument,
    overrides: SetOption = None,
    run_dir: RunDirOption = Path("runs"),
    jobs: JobsOption = None,
    retries: RetriesOption = 1,
    list_only: ListOption = False,
    write: WriteOption = None,
) -> None:
    """Train every arm of a sweep with every seed.

    What was stopped or killed goes on with the same command: runs that ended are not run again.
    Exit code 1 if a run failed.

    Example: fgspec sweep specs/sweeps/rules.yaml --jobs 2
    """
    sweep = load_sweep(file, overrides or ())
    costs = costs_of(sweep)
    print("\n".join(plan_lines(sweep, costs)), flush=True)
    if write is not None:
        for arm in sweep.arms:
            write_text(write / f"{arm.label}.yaml", resolved_text(arm.loaded))
        print(f"specs of all arms: {write}")
    if list_only or write is not None:
        return
    found = train_all(sweep, costs, run_dir, jobs, retries)
    print("\n".join(status_lines(found)))
    if any(one.state != "done" for one in found):
        raise typer.Exit(1)


def costs_of(sweep: Sweep) -> dict[str, tuple[int, int]]:
    """FLOPs of an update and updates of a run, of every arm by its label.

    Raises:
        SpecError, DataError: as `fgspec.api.plan`, of the first arm that is refused.
    """
    plans = {arm.label: api.plan(arm.loaded) for arm in sweep.arms}
    return {label: (cost(plan).flops, plan.steps) for label, plan in plans.items()}


def train_all(
    sweep: Sweep,
    costs: dict[str, tuple[int, int]],
    run_dir: Path,
    jobs: int | None,
    retries: int = 1,
) -> list[Found]:
    """Run what is not done yet, a line for each run; what there is of every run afterwards.

    Raises:
        Preempted: told to stop; what ran is saved.
    """

    def say(line: str) -> None:
        print(line, flush=True)

    folder = SweepDir(run_dir / sweep.name)
    with locked(folder, say) as lock:
        say(f"sweep {folder.path}")
        planned = record(folder, sweep, {label: steps for label, (_, steps) in costs.items()})
        todo = [one.planned for one in status(folder, planned) if one.state not in ENDED]
        if len(todo) < len(planned):
            say(f"{len(planned) - len(todo)} of {len(planned)} runs ended already")
        if jobs is None:
            _train_here(folder, todo, say)
        else:
            with stop_signals() as stopping:
                run_processes(folder, todo, Pool(jobs, retries, lock, say, stopping))
        return status(folder, planned)


def _train_here(folder: SweepDir, todo: list[Planned], say: Callable[[str], None]) -> None:
    for planned in todo:
        (found,) = status(folder, [planned])
        try:
            if found.run is not None:
                api.train(resume=found.run)
            else:
                spec = load(folder.spec(planned.arm), [f"seed={planned.seed}"])
                api.train(spec, run_dir=folder.path)
        except RunError:
            pass  # its summary says so
        jax.clear_caches()  # compiled programs of many runs would take all maps of memory
        say(outcome(*status(folder, [planned])))
