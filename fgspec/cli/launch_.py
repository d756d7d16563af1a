"""`fgspec launch`."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fgspec.cli.options import (
    ArgumentError,
    BreakLockOption,
    MeshOption,
    SetOption,
    with_mesh,
)
from fgspec.cli.train_ import (
    ForkOption,
    ResumeOption,
    RunDirOption,
    RunOption,
    SpecOrNothing,
    TrackOption,
    refuse_unclear,
)
from fgspec.errors import STOPPED
from fgspec.loading.spec_file import Loaded, is_pipe, load
from fgspec.processes.stopping import advise
from fgspec.processes.supervise import simulated, supervise
from fgspec.show.lines import say
from fgspec.training.run_folder import create, reopen

ProcessesOption = Annotated[int, typer.Option("--processes", min=1, help="How many to start.")]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        "--devices-per-process", min=1, help="Simulate so many devices in each, on the CPU."
    ),
]
RetriesOption = Annotated[
    int, typer.Option("--retries", min=0, help="How often all are started again when one dies.")
]


def run(
    spec: SpecOrNothing = None,
    processes: ProcessesOption = 2,
    devices: DevicesOption = None,
    retries: RetriesOption = 3,
    overrides: SetOption = None,
    mesh: MeshOption = None,
    run_dir: RunDirOption = Path("runs"),
    run: RunOption = None,
    resume: ResumeOption = None,
    fork: ForkOption = False,
    break_lock: BreakLockOption = False,
    track: TrackOption = None,
) -> None:
    """Train a spec in many processes on this host; when one dies, all begin at the last checkpoint.

    What process 0 prints is shown, and of the others what they said when they failed. --resume and
    --fork go on with a run as fgspec train does.

    Example: fgspec launch specs/quickstart.yaml --processes 2 --devices-per-process 4 --mesh data=8
    """
    refuse_unclear("launch", spec, run, resume, fork)
    if spec is not None and is_pipe(spec):
        raise ArgumentError(
            f"launch: {spec}: is a pipe, of which every process would need the whole; write the "
            "spec to a file"
        )
    sets = with_mesh(overrides, mesh)
    # A new run has its folder here already: whatever becomes of processes, they go on with it.
    new = run is None and (resume is None or fork)
    if new:
        run = create(_named(spec, sets, resume), run_dir).path
    command = [sys.executable, "-m", "fgspec", "train"]
    command += [] if spec is None else [str(spec)]
    command += [] if run is None else ["--run", str(run)]
    command += [] if resume is None else ["--resume", str(resume)]
    command += [word for one in sets for word in ("--set", one)]
    command += [word for one in track or () for word in ("--track", one)]
    command += ["--fork"] * fork + ["--break-lock"] * break_lock
    environment = dict(os.environ)
    if devices is not None:
        environment = simulated(devices, environment)
    errors = Console(stderr=True)

    def tell(line: str) -> None:
        say(errors, f"launch: {line}")

    advise("the same command goes on")
    code = supervise(command, processes, environment, retries, tell)
    if code == STOPPED:
        again = ["fgspec", *sys.argv[1:], *(["--run", str(run)] if new else [])]
        tell(f"go on with: {shlex.join(again)}")
    if code:
        raise typer.Exit(code)


def _named(spec: Path | None, sets: Sequence[str], resume: Path | None) -> Loaded:
    """The spec to train; its name is that of the folder of new runs.

    Raises:
        SpecError: it is wrong.
        ResumeError: there is no run to fork.
    """
    if spec is not None:
        return load(spec, sets)
    assert resume is not None
    run, _ = reopen(resume)
    return load(run.resolved, sets)
