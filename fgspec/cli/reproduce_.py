"""`fgspec reproduce`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.options import ArgumentError
from fgspec.cli.sweep_ import (
    JobsOption,
    ListOption,
    OnOption,
    ResourceOption,
    chosen,
    costs_of,
    train_all,
)
from fgspec.cli.train_ import RunDirOption
from fgspec.results.cells import Asked, as_sweep, cells_of, comparison, table_at
from fgspec.sweeps.show import plan_lines

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
    float, typer.Option("--budget", min=1e-6, help="Epochs are multiplied by it, at least one.")
]
SeedsOption = Annotated[
    str, typer.Option("--seeds", metavar="0,1", help="Seeds of every cell; means are compared.")
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
    """Train the cells of a paper's table, and print the paper's numbers beside those measured.

    Cells that were trained before at the same budget are not trained again.

    Example: fgspec reproduce ren2022/table3 --columns mnist_s_1_1 --budget 0.02
    """
    where = chosen(on, jobs, resources)
    asked = Asked(_words(columns), _words(rows), budget, _seeds(seeds))
    cells = cells_of(table_at(specs, name), asked)
    sweep = as_sweep(name, cells, asked, f"# {' '.join(['fgspec', *sys.argv[1:]])}\n")
    costs = costs_of(sweep)
    print("\n".join(plan_lines(sweep, costs)), flush=True)
    if list_only:
        return
    found = train_all(sweep, costs, run_dir, where)
    print("\n".join(comparison(cells, found)))
    if budget != 1:
        print(f"at {budget:g} of the paper's epochs, one at least")
    if any(one.state != "done" for one in found):
        raise typer.Exit(1)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _seeds(text: str) -> tuple[int, ...]:
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) < 2**32 for word in words):
        raise ArgumentError(f"reproduce: --seeds {text}: must be whole numbers, such as 0,1,2")
    return tuple(dict.fromkeys(map(int, words)))
