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
