"""Options that connect a process to the other processes of a run."""

import re

from fgspec.cli.arguments import ArgumentError
from fgspec.processes.join import join


def joined(
    distributed: bool, coordinator: str | None, processes: int | None, process: int | None
) -> bool:
    """Connect to the other processes if an option asks for it; return whether it did.

    Without these options nothing is connected, so that a plain run never waits for other processes,
    not even on a cluster.

    Raises:
        ArgumentError: the options contradict each other.
        JoinError: the other processes are not found.
    """
    given = {"--num-processes": processes, "--process-id": process}
    if coordinator is None and not distributed:
        for name, value in given.items():
            if value is not None:
                raise ArgumentError(f"{name}: needs --coordinator HOST:PORT or --distributed")
        return False
    if coordinator is not None and not re.fullmatch(r".+:[0-9]{1,5}", coordinator):
        raise ArgumentError(
            f"--coordinator: must be HOST:PORT, such as node1:12345 (got {coordinator})"
        )
    if processes is not None and process is not None and process >= processes:
        raise ArgumentError(
            f"--process-id: must be less than --num-processes, which is {processes} (got {process})"
        )
    join(coordinator, processes, process)
    return True
