"""`fgspec status`."""

from pathlib import Path

from rich.console import Console

from fgspec.cli.arguments import then
from fgspec.sweeps.folder import reopen, status
from fgspec.sweeps.live import watch
from fgspec.sweeps.show import status_lines
from fgspec.training.which_run import the_sweep


def run(sweep: Path, watching: bool) -> None:
    """What `fgspec status` does."""
    folder, planned = reopen(the_sweep(sweep))
    found = watch(folder, planned, Console()) if watching else status(folder, planned)
    print("\n".join(status_lines(found)))
    if any(one.state == "done" for one in found):
        then("report", folder.path)
    elif not watching:
        then("status", folder.path, "--watch")
