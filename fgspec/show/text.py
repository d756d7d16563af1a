"""What a person sees: the cost before a run, its progress, and how it ended."""

import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from fgspec.show.lines import say
from fgspec.spec.metrics import today
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
    """Cells of a table in columns, as lines of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of text as aligned lines, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


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


def moves(console: Console) -> bool:
    """Whether what is shown can change in place, as on a terminal and in a notebook."""
    # To rich a notebook is no terminal, and without ipywidgets rich only warns that it wants them.
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class _Rate(ProgressColumn):
    """Updates a second of late."""

    def render(self, task: Task) -> Text:
        """The rate of a task."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g}/s" if speed else "-/s")


class Reporter:
    """Shows the progress of a run: a live line on a terminal, a plain line a log elsewhere.

    Args:
        total: updates of the run.
        start: updates already done.
        console: where to print.
    """

    def __init__(self, total: int, start: int, console: Console) -> None:
        self._total, self._start, self._console = total, start, console
        self._began = time.perf_counter()
        self._shown: Mapping[str, float] = {}
        self._progress: Progress | None = None
        if moves(console):
            self._progress = Progress(
                TextColumn("step {task.completed}/{task.total}"),
                BarColumn(bar_width=8),
                _Rate(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[known]}", markup=False, table_column=Column(no_wrap=True)),
                console=console,
                refresh_per_second=4,
                speed_estimate_period=10,
            )
            self._task = self._progress.add_task("train", total=total, completed=start, known="")
            self._progress.start()

    def show(self, step: int, known: Mapping[str, float]) -> None:
        """Show that `step` is done; `known` has the last value of each metric."""
        if self._progress is not None:
            self._progress.update(self._task, completed=step, known=headline(known))
        elif known != self._shown:
            self._shown = dict(known)
            rate = (step - self._start) / max(time.perf_counter() - self._began, 1e-9)
            left = (self._total - step) / max(rate, 1e-9)
            say(
                self._console,
                f"step {step}/{self._total}  {headline(known)}  "
                f"{rate:.3g} steps/s  {left:.0f} s left",
            )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


HEADLINE = {
    "train/objective": "objective",
    "train/loss": "loss",
    "train/accuracy": "accuracy",
    "valid/error": "valid error",
    "test/error": "test error",
}
"""The metrics that a person follows, and what they are called in the progress line."""


def headline(known: Mapping[str, float]) -> str:
    """The metrics that a person follows, in one line."""
    return "  ".join(
        f"{short} {known[name]:.4f}" for name, short in HEADLINE.items() if name in known
    )


def expectation(expect: Expect | None, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Whether a run reached what its spec expects; empty if it expects nothing."""
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
            "source": expect.source,
        }
    }
