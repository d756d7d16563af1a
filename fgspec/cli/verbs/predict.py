"""`fgspec predict`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import RunArgument, StepOption

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES...",
        help="Image files, folders of them, or npz archives (array `images` or `test_images`).",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="The CSV file to write.")]


def run(
    run: RunArgument,
    files: FilesArgument,
    out: OutOption = Path("predictions.csv"),
    step: StepOption = "newest",
) -> None:
    """Write the predicted class of each image, and its probability, to a CSV file.

    Each image has one row: file, index (in an archive), class, probability. A run that predicts
    numbers instead of a class has a column for each. If the run was trained
    on an image_folder, images are decoded and resized in the same way. Otherwise they must have
    the size of the training images.

    Example: fgspec predict runs/quickstart/20260101T120000-0a1b2c3d digits.npz --out classes.csv
    """
