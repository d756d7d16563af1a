"""`fgspec replay`."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="What a run kept when it broke, or the run.")
    ],
) -> None:
    """Run the steps up to where a run broke, and the last of them layer by layer.

    Prints the activations, losses, gradients and updates of that step in the order in which they
    are computed, and the first that is not finite. Exit code 1 if all are finite this time.

    Example: fgspec replay runs/mixer/20260101T120000-0a1b2c3d/bundles/step-12
    """
