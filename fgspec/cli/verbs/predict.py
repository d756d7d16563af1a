"""`fgspec predict`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import RunArgument, StepOption

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...",
        help="Pictures, folders of pictures, npz archives with an array `images` or `test_images`.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="The CSV file to write.")]


def run(
    run: RunArgument,
    files: FilesArgument,
    out: OutOption = Path("predictions.csv"),
    step: StepOption = "newest",
) -> None:
    """Write the class that a trained model predicts for each picture, and its probability.

    One row an image: file, index (in an archive), class, probability. Pictures are treated as those
    of the run's image_folder; for other data they must have the size of its images.

    Example: fgspec predict runs/quickstart/20260101T120000-0a1b2c3d digits.npz --out classes.csv
    """
