"""`fgspec status`."""

from pathlib import Path
from typing import Annotated

import typer

SweepArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a sweep, its name, or latest.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Keep showing progress until all runs have ended.")
]


def run(sweep: SweepArgument, watching: WatchOption = False) -> None:
    """Show the progress of all runs of a sweep.

    Example: fgspec status runs/rules --watch
    """
