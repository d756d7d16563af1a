"""`fgspec launch`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fgspec.cli.options import (
    ArgumentError,
    BreakLockOption,
    MeshOption,
    SetOption,
    SpecArgument,
    with_mesh,
)
from fgspec.errors import STOPPED
from fgspec.loading.spec_file import is_pipe, load
from fgspec.processes.stopping import advise
from fgspec.processes.supervise import simulated, supervise
from fgspec.show.lines import say
from fgspec.training.run_folder import create

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
RunDirOption = Annotated[Path, typer.Option("--run-dir", help="Runs are made below this folder.")]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="Begin a run in this folder, or go on with the one in it."
    ),
]


def run(
    spec: SpecArgument,
    processes: ProcessesOption = 2,
    devices: DevicesOption = None,
    retries: RetriesOption = 3,
    overrides: SetOption = None,
    mesh: MeshOption = None,
    run_dir: RunDirOption = Path("runs"),
    run: RunOption = None,
    break_lock: BreakLockOption = False,
) -> None:
    """Train a spec in many processes on this host; when one dies, all begin at the last checkpoint.

    What process 0 prints is shown, and of the others what they said when they failed.

    Example: fgspec launch specs/quickstart.yaml --processes 2 --devices-per-process 4 --mesh data=8
    """
    if is_pipe(spec):
        raise ArgumentError(
            f"launch: {spec}: is a pipe, of which every process would need the whole; write the "
            "spec to a file"
        )
    sets = with_mesh(overrides, mesh)
    loaded = load(spec, sets)
    folder = run or create(loaded, run_dir).path
    command = [sys.executable, "-m", "fgspec", "train", str(spec), "--run", str(folder)]
    command += [word for one in sets for word in ("--set", one)]
    command += ["--break-lock"] * break_lock
    environment = dict(os.environ)
    if devices is not None:
        environment = simulated(devices, environment)
    errors = Console(stderr=True)

    def tell(line: str) -> None:
        say(errors, f"launch: {line}")

    advise("the same command goes on")
    code = supervise(command, processes, environment, retries, tell)
    if code == STOPPED:
        again = ["fgspec", *sys.argv[1:], *([] if run else ["--run", str(folder)])]
        tell(f"go on with: {shlex.join(again)}")
    if code:
        raise typer.Exit(code)
