"""`fgspec launch`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import (
    BreakLockOption,
    ForkOption,
    MeshOption,
    ResumeOption,
    RunDirOption,
    RunOption,
    SetOption,
    SpecOrNothing,
    TrackOption,
)

ProcessesOption = Annotated[
    int, typer.Option("--processes", min=1, help="How many processes to start.")
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        "--devices-per-process", min=1, help="Simulate this many CPU devices in each process."
    ),
]
RetriesOption = Annotated[
    int,
    typer.Option("--retries", min=0, help="How often to restart all processes when one dies."),
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
    """Train a spec in several processes on this host, and restart them when one dies.

    After a restart all processes resume from the last checkpoint. The output of process 0 is
    shown, and that of other processes only if they fail. --resume and --fork work as in fgspec
    train.

    Example: fgspec launch specs/quickstart.yaml --processes 2 --devices-per-process 4 --mesh data=8
    """
