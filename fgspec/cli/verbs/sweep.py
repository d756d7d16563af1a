"""`fgspec sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import (
    JobsOption,
    ListOption,
    OnOption,
    ResourceOption,
    RunDirOption,
    SetOption,
)

SweepFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep, a YAML file.")]
RetriesOption = Annotated[
    int,
    typer.Option("--retries", min=0, help="How often to retry a run whose process or job died."),
]
WriteOption = Annotated[
    Path | None,
    typer.Option("--write", metavar="DIR", help="Only write each arm as a spec to this folder."),
]


def run(
    file: SweepFileArgument,
    overrides: SetOption = None,
    run_dir: RunDirOption = Path("runs"),
    jobs: JobsOption = None,
    on: OnOption = None,
    resources: ResourceOption = None,
    retries: RetriesOption = 1,
    list_only: ListOption = False,
    write: WriteOption = None,
) -> None:
    """Train every arm of a sweep with every seed: here, in processes, on Ray or on SLURM.

    If the sweep is stopped or killed, the same command resumes it. Runs that have ended are not
    run again. Exit code 1 if a run failed.

    Example: fgspec sweep specs/sweeps/rules.yaml --jobs 2
    """
