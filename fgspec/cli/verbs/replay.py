"""`fgspec replay`."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    bundle: Annotated[
        Path,
        typer.Argument(metavar="BUNDLE", help="The bundle that a failed run saved, or the run."),
    ],
) -> None:
    """Repeat the steps at which a run diverged, the last one layer by layer.

    Prints the activations, losses, gradients and updates of the last step in the order in which
    they are computed, and names the first that is not finite. Exit code 1 if all are finite this
    time.

    Example: fgspec replay runs/mixer/20260101T120000-0a1b2c3d/bundles/step-12
    """
