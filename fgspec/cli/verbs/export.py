"""`fgspec export`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import RunArgument, StepOption

ToOption = Annotated[
    str, typer.Option("--to", metavar="FORMAT", help="safetensors, npz or orbax (a folder).")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")]


def run(
    run: RunArgument,
    to: ToOption,
    out: OutOption,
    step: StepOption = "newest",
) -> None:
    """Write the parameters of a trained model to a file.

    The file also holds their names, shapes and axes, and the spec.

    Example: fgspec export runs/quickstart/20260101T120000-0a1b2c3d --to npz --out weights.npz
    """
