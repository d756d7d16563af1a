"""`fgspec reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JobsOption, ListOption, OnOption, ResourceOption, RunDirOption

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A table or figure, such as ren2022/table3.")
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", metavar="A,B", help="Only these columns of the table.")
]
RowsOption = Annotated[
    str | None, typer.Option("--rows", metavar="A,B", help="Only these rows of the table.")
]
BudgetOption = Annotated[
    float,
    typer.Option(
        "--budget", min=1e-6, help="Multiply the epochs by this; at least one epoch is run."
    ),
]
SeedsOption = Annotated[
    str,
    typer.Option(
        "--seeds", metavar="0,1", help="Train every cell with these seeds and compare the mean."
    ),
]
SpecsOption = Annotated[
    Path, typer.Option("--specs", metavar="DIR", help="The folder of all specs.")
]


def run(
    name: NameArgument,
    columns: ColumnsOption = None,
    rows: RowsOption = None,
    budget: BudgetOption = 1.0,
    seeds: SeedsOption = "0",
    jobs: JobsOption = None,
    on: OnOption = None,
    resources: ResourceOption = None,
    run_dir: RunDirOption = Path("runs"),
    specs: SpecsOption = Path("specs"),
    list_only: ListOption = False,
) -> None:
    """Train the cells of a paper's table and print measured and published numbers side by side.

    Cells that were already trained with the same budget are not trained again.

    Example: fgspec reproduce ren2022/table3 --columns mnist_s_1_1 --budget 0.02
    """
