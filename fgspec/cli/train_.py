"""`fgspec train`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fgspec import api
from fgspec.cli.joining import (
    CoordinatorOption,
    DistributedOption,
    ProcessesOption,
    ProcessOption,
    joined,
)
from fgspec.cli.options import (
    ArgumentError,
    BreakLockOption,
    MeshOption,
    SetOption,
    with_mesh,
)
from fgspec.loading.spec_file import load
from fgspec.processes.join import is_first, leaving_promptly
from fgspec.show.lines import say
from fgspec.training.timings import START

SpecOrNothing = Annotated[
    Path | None,
    typer.Argument(metavar="[SPEC]", help="A spec, a YAML file."),
]
RunDirOption = Annotated[Path, typer.Option("--run-dir", help="Runs are made below this folder.")]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="Begin a run in this folder, or go on with the one in it."
    ),
]
ResumeOption = Annotated[
    Path | None, typer.Option("--resume", metavar="RUN", help="Go on with the run in this folder.")
]
ForkOption = Annotated[
    bool,
    typer.Option(
        "--fork",
        help="Begin a new run at the last checkpoint of the run to resume, with other fields.",
    ),
]
ProfileOption = Annotated[
    int | None,
    typer.Option(
        "--profile",
        metavar="STEPS",
        min=1,
        help="Write a profiler trace of so many updates, once warm, into the run's folder.",
    ),
]


TimingsOption = Annotated[
    bool,
    typer.Option("--timings", help="Show where the time goes until the first update is done."),
]


def run(
    spec: SpecOrNothing = None,
    overrides: SetOption = None,
    run_dir: RunDirOption = Path("runs"),
    run: RunOption = None,
    resume: ResumeOption = None,
    fork: ForkOption = False,
    profile: ProfileOption = None,
    mesh: MeshOption = None,
    break_lock: BreakLockOption = False,
    timings: TimingsOption = False,
    distributed: DistributedOption = False,
    coordinator: CoordinatorOption = None,
    num_processes: ProcessesOption = None,
    process_id: ProcessOption = None,
) -> None:
    """Train a spec: what it costs, its progress, and a folder with all that came of it.

    A run that was stopped or killed goes on with --resume as if nothing had happened, on any mesh;
    with --run the same command begins it and goes on with it. --resume with --set goes on with
    other fields, such as a longer training, where the schema says that they may change; --fork
    begins a new run there with any other field that fits the checkpoint.

    Example: fgspec train specs/quickstart.yaml --set training.epochs=20
    """
    refuse_unclear("train", spec, run, resume, fork)
    over = with_mesh(overrides, mesh)
    START.begun("import fgspec and the rest")
    with START.part("read the spec"):
        loaded = load(spec, over) if spec is not None else None
    many = joined(distributed, coordinator, num_processes, process_id)
    if loaded is not None:
        api.refuse_untold(loaded)
    console = Console()
    asked = {"run_dir": run_dir, "run": run, "resume": resume, "profile": profile or 0}
    asked |= {"timings": START if timings else None}
    asked |= {"break_lock": break_lock, "fork": fork, "overrides": over if loaded is None else ()}
    with leaving_promptly() if many else nullcontext():
        summary = api.train(loaded, console=console, **asked)
    for line in _ending(summary) if is_first() else ():
        say(console, line)


def refuse_unclear(
    command: str, spec: Path | None, run: Path | None, resume: Path | None, fork: bool
) -> None:
    """What to train must be one spec or one run.

    Raises:
        ArgumentError: it is none, or two.
    """
    if spec is None and resume is None:
        raise ArgumentError(f"{command}: give a SPEC, or --resume RUN")
    if fork and resume is None:
        raise ArgumentError(f"{command}: --fork needs --resume RUN, the run that it begins from")
    if run is not None and not fork and (spec is None or resume is not None):
        raise ArgumentError(f"{command}: --run needs a SPEC, and takes the place of --resume")


def _ending(summary: dict[str, Any]) -> list[str]:
    metrics = summary["metrics"]
    named = [
        f"{name} {metrics[name]:.4f}" for name in ("eval/error", "eval/loss") if name in metrics
    ]
    early = ", stopped early" if summary.get("stopped_early") else ""
    lines = [f"done at step {summary['step']}{early}: {', '.join(named)}"]
    if best := summary.get("best"):
        lines.append(f"best at step {best['step']}: {best['metric']} {best['value']:.4f}")
    expected = summary.get("expectation")
    if expected is not None:
        agrees = "within" if expected["within"] else "NOT within"
        lines.append(
            f"expected {expected['metric']} {expected['expected']:g} +- {expected['tolerance']:g} "
            f"({expected['source']}): measured {expected['measured']:.4f}, {agrees}"
        )
    return lines
