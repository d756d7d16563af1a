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
        help="Write a profiler trace of this many updates to the run's folder, after warm-up.",
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
        help="This is one of several processes; read which from SLURM, Open MPI, Kubernetes or "
        "Cloud TPU.",
    ),
]
CoordinatorOption = Annotated[
    str | None,
    typer.Option(
        "--coordinator", metavar="HOST:PORT", help="The address at which process 0 listens."
    ),
]
ProcessesOption = Annotated[
    int | None, typer.Option("--num-processes", min=1, help="The number of processes.")
]
ProcessOption = Annotated[
    int | None, typer.Option("--process-id", min=0, help="The number of this process, from 0.")
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
    """Train a spec: print cost and progress, write all results to a run folder.

    --resume continues a run that was stopped or killed, exactly where it was, on any mesh. With
    --run the same command starts the run and later resumes it.

    Add --set to --resume to change fields such as training.epochs; fgspec schema marks the fields
    that may change. --fork starts a new run from the checkpoint instead, in which any field may
    change that still fits the checkpoint.

    Example: fgspec train specs/quickstart.yaml --set training.epochs=20
    """
