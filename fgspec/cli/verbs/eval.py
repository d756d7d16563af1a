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
        help="Evaluate on the test set of another spec's data: images of the same shape, the same "
        "classes; standardized as the run's were.",
    ),
]
ConfusionOption = Annotated[
    Path | None,
    typer.Option(
        "--confusion", metavar="FILE", help="Write the confusion matrix: .csv, .png or .svg."
    ),
]


def run(
    run: RunArgument,
    overrides: SetOption = None,
    other_data: Annotated[
        bool,
        typer.Option(
            "--other-data", help="Evaluate even if the data are not those of the run any more."
        ),
    ] = False,
    as_json: JsonOption = False,
    step: StepOption = "newest",
    data: DataOption = None,
    confusion: ConfusionOption = None,
) -> None:
    """Evaluate a checkpoint of a run on its whole test set, or on that of other data.

    The data are compared with those that the run was trained with; --set data.source.path=PATH
    says where they are.

    Example: fgspec eval runs/quickstart/20260101T120000-0a1b2c3d --confusion confusion.png
    """
