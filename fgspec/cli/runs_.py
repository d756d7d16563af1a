"""`fgspec runs`."""

import json
from pathlib import Path

from rich.console import Console

from fgspec.cli.arguments import then
from fgspec.results.listing import (
    chosen,
    compared,
    default_columns,
    in_order,
    listed,
    refuse_unknown,
    rows,
)
from fgspec.show.lines import say
from fgspec.show.text import aligned
from fgspec.training.which_run import the_folder


def run(
    folder: Path,
    conditions: list[str] | None,
    sort: str | None,
    columns: str | None,
    as_json: bool,
) -> None:
    """What `fgspec runs` does."""
    every = listed(the_folder(folder))
    shown = [name.strip() for name in columns.split(",")] if columns else default_columns(every)
    refuse_unknown("--columns", shown, every)
    found = chosen(every, conditions or ())
    found = compared(in_order(found, sort) if sort else found)
    if as_json:
        print(json.dumps([one.json() for one in found], indent=2))
        return
    console = Console()
    for line in aligned(rows(found, shown)):
        clipped = console.is_terminal and len(line) > console.width
        say(console, f"{line[: console.width - 3]}..." if clipped else line)
    left = f" of {len(every)}" if len(found) < len(every) else ""
    say(console, f"{len(found)}{left} run{'s' * (len(every) > 1)}")
    if done := [one.path for one in found if one.state == "done"]:
        then("report", *done[-2:])
