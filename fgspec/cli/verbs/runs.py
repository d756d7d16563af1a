"""`fgspec runs`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A folder of runs, or its name below runs.")
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Only runs that meet this condition, such as state=done, name=quick*, "
        "train/loss<0.1 or optimizer.learning_rate>=0.01; may be repeated.",
    ),
]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="COLUMN",
        help="Order by a metric, a field or age; put - in front for largest first.",
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B",
        help="Columns to show: run, name, state, step, age, spec, any metric, any field of specs.",
    ),
]


def run(
    folder: FolderArgument = Path("runs"),
    conditions: FilterOption = None,
    sort: SortOption = None,
    columns: ColumnsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs: progress, last metrics, age, and the fields in which their specs differ.

    Example: fgspec runs --filter state=done --sort train/loss --columns run,train/loss,seed
    """
