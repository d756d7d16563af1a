"""`fgspec reproduce`."""

import sys
from pathlib import Path

import typer

from fgspec.cli.arguments import ArgumentError, then
from fgspec.cli.sweep_ import (
    chosen,
    costs_of,
    train_all,
)
from fgspec.results.cells import Asked, as_sweep, cells_of, comparison, table_at, unverified
from fgspec.sweeps.show import plan_lines


def run(
    name: str,
    columns: str | None,
    rows: str | None,
    budget: float,
    seeds: str,
    jobs: int | None,
    on: str | None,
    resources: list[str] | None,
    run_dir: Path,
    specs: Path,
    list_only: bool,
) -> None:
    """What `fgspec reproduce` does."""
    where = chosen(on, jobs, resources)
    asked = Asked(_words(columns), _words(rows), budget, _seeds(seeds))
    cells = cells_of(table_at(specs, name), asked)
    sweep = as_sweep(name, cells, asked, f"# {' '.join(['fgspec', *sys.argv[1:]])}\n")
    costs = costs_of(sweep)
    print("\n".join(plan_lines(sweep, costs)), flush=True)
    if list_only:
        for line in unverified(cells):
            print(line)
        return
    found = train_all(sweep, costs, run_dir, where)
    print("\n".join(comparison(cells, found)))
    if budget != 1:
        print(f"trained for {budget:g} times the paper's epochs, but at least one")
    if any(one.state == "done" for one in found):
        then("report", run_dir / sweep.name)
    if any(one.state != "done" for one in found):
        raise typer.Exit(1)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _seeds(text: str) -> tuple[int, ...]:
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) < 2**32 for word in words):
        raise ArgumentError(f"reproduce: --seeds {text}: must be whole numbers, such as 0,1,2")
    return tuple(dict.fromkeys(map(int, words)))
