"""Tables, quantities and metrics as text for a console."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fgspec.show.lines import say
from fgspec.spec.metrics import TEST, VALID, is_error, today
from fgspec.spec.run import Expect


def table(title: str, rows: Mapping[str, str], console: Console) -> None:
    """Print names and values in two columns."""
    if not console.is_terminal:
        width = max(map(len, rows))
        say(console, title)
        for name, value in rows.items():
            say(console, f"  {name:<{width}}  {value}")
        return
    grid = Table(
        title=Text(title), title_justify="left", show_header=False, box=None, padding=(0, 2)
    )
    for name, value in rows.items():
        grid.add_row(Text(name, "dim"), Text(value))
    console.print(grid)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text, all columns left-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines of text, the first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


_PREFIXES = {"E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}


def quantity(value: float, unit: str = "") -> str:
    """`1.25 G` for 1.25e9: three digits and an SI prefix."""
    for prefix, size in _PREFIXES.items():
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def mebibytes(count: float) -> str:
    """A number of bytes in MiB."""
    size = count / 2**20
    return f"{size:.3g} MiB" if size < 100 else f"{size:,.0f} MiB"


HEADLINE = {
    "train/objective": "objective",
    "train/loss": "loss",
    "train/accuracy": "accuracy",
    "valid/error": "valid error",
    "test/error": "test error",
}
"""The metrics in the progress line, and their names there; beside them other errors."""


def followed(known: Collection[str]) -> dict[str, str]:
    """Of the metrics of a run, those in the progress line, and their names there."""
    errors = {
        name: name.replace("/", " ").replace("_", " ")
        for name in sorted(known, reverse=True)
        if name.startswith((f"{VALID}/", f"{TEST}/")) and is_error(name)
    }
    return {name: short for name, short in (HEADLINE | errors).items() if name in known}


def headline(known: Mapping[str, float]) -> str:
    """The metrics of the progress line, in one line."""
    return "  ".join(f"{short} {known[name]:.4f}" for name, short in followed(known).items())


def expectation(expect: Expect | None, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Whether a run reached what its spec expects, as JSON; empty if it expects nothing."""
    metric = "" if expect is None else today(expect.metric)
    if expect is None or metric not in metrics:
        return {}
    measured = metrics[metric]
    within = abs(measured - expect.value) <= expect.tolerance
    return {
        "expectation": {
            "metric": metric,
            "expected": expect.value,
            "tolerance": expect.tolerance,
            "measured": measured,
            "within": within,
            "source": expect.cited,
        }
    }
