"""Options that join a process to the others of a run."""

import re
from typing import Annotated

import typer

from fgspec.cli.options import ArgumentError
from fgspec.processes.join import join

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


def joined(
    distributed: bool, coordinator: str | None, processes: int | None, process: int | None
) -> bool:
    """Join the others if any option asks for it; whether it did.

    Never without, so that a plain run waits for nobody, on a cluster neither.

    Raises:
        ArgumentError: the options do not go together.
        JoinError: the others are not found.
    """
    given = {"--num-processes": processes, "--process-id": process}
    if coordinator is None and not distributed:
        for name, value in given.items():
            if value is not None:
                raise ArgumentError(f"{name}: give --coordinator HOST:PORT too, or --distributed")
        return False
    if coordinator is not None and not re.fullmatch(r".+:[0-9]{1,5}", coordinator):
        raise ArgumentError(
            f"--coordinator: needs a host and a port, such as node1:12345 (got {coordinator})"
        )
    if processes is not None and process is not None and process >= processes:
        raise ArgumentError(
            f"--process-id: must be below --num-processes, which is {processes} (got {process})"
        )
    join(coordinator, processes, process)
    return True
