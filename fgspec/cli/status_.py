"""`fgspec status`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.sweeps.folder import reopen, status
from fgspec.sweeps.show import status_lines


def run(
    sweep: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a sweep.")],
) -> None:
    """Print how far the runs of a sweep are.

    Example: fgspec status runs/rules
    """
    folder, planned = reopen(sweep)
    print("\n".join(status_lines(status(folder, planned))))
