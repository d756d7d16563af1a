"""`fgspec status`."""

from pathlib import Path
from typing import Annotated

import typer

SweepArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder of a sweep, its name, or latest.")
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Follow the runs until all of them have ended.")
]


def run(sweep: SweepArgument, watching: WatchOption = False) -> None:
    """Print how far the runs of a sweep are.

    Example: fgspec status runs/rules --watch
    """
