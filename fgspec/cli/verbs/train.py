"""`fgspec train`."""

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
DistributedOption = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Be one process of many, as SLURM, Open MPI, Kubernetes or cloud TPU say.",
    ),
]
CoordinatorOption = Annotated[
    str | None,
    typer.Option(
        "--coordinator", metavar="HOST:PORT", help="The address of process 0, which listens there."
    ),
]
ProcessesOption = Annotated[
    int | None, typer.Option("--num-processes", min=1, help="How many processes there are.")
]
ProcessOption = Annotated[
    int | None, typer.Option("--process-id", min=0, help="The number of this one, from 0.")
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
    track: TrackOption = None,
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
