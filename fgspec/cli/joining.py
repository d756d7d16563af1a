"""Options that join a process to the others of a run."""

import re

from fgspec.cli.arguments import ArgumentError
from fgspec.processes.join import join


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
