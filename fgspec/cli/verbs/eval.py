"""`fgspec eval`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, RunArgument, SetOption, StepOption

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="SPEC",
        help="Evaluate on the test set of another spec's data; its images need the same shape and "
        "classes, and are standardized like those of the run.",
    ),
]
ConfusionOption = Annotated[
    Path | None,
    typer.Option(
        "--confusion",
        metavar="FILE",
        help="Write the confusion matrix to FILE: .csv, .png or .svg.",
    ),
]


def run(
    run: RunArgument,
    overrides: SetOption = None,
    other_data: Annotated[
        bool,
        typer.Option(
            "--other-data", help="Evaluate even if the data changed since the run was trained."
        ),
    ] = False,
    as_json: JsonOption = False,
    step: StepOption = "newest",
    data: DataOption = None,
    confusion: ConfusionOption = None,
) -> None:
    """Evaluate a checkpoint of a run on its whole test set, or on other data.

    The data must be the same as in training, which is checked. If the files have moved, give their
    place with --set data.source.path=PATH.

    Example: fgspec eval runs/quickstart/20260101T120000-0a1b2c3d --confusion confusion.png
    """
