"""Shows how far the runs of a sweep are: as a live table on a terminal, otherwise as lines."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fgspec.processes.stopping import at_last
from fgspec.show.lines import say
from fgspec.show.progress import clock
from fgspec.show.text import quantity
from fgspec.sweeps.folder import ENDED, Planned, RunStatus, SweepDir, reopen, status, to_come
from fgspec.sweeps.show import status_cells

PAUSE = 1.0
"""Seconds between two updates from the folder."""

_STEP_TIME = "perf/step_time_s"


@contextmanager
def followed(folder: SweepDir, planned: list[Planned], console: Console) -> Iterator[None]:
    """On a terminal, show a live table of all runs while the `with` block trains them."""
    if not console.is_terminal:
        yield
        return
    table = _Looks(folder, planned).table
    live = Live(get_renderable=table, console=console, refresh_per_second=1)
    with live, at_last(live.stop):  # stopping shows the cursor again
        yield


def watch(
    folder: SweepDir,
    planned: list[Planned],
    console: Console,
    wait: Callable[[float], None] = time.sleep,
) -> list[RunStatus]:
    """Show the table until every run has ended; without a terminal, print a line for each change.

    Returns:
        The final status of every run.
    """
    looks, printed = _Looks(folder, planned), dict[Planned, str]()
    with followed(folder, planned, console):
        while True:
            over = looks.over()
            changed = [run for run in looks.runs if printed.get(run.planned) != run.state]
            printed |= {run.planned: run.state for run in changed}
            if changed and not console.is_terminal:
                for run in changed:
                    step = f"step {run.step}/{run.planned.steps}"
                    say(console, f"{run.planned}: {run.state} at {step}")
                say(console, tally(looks.runs))
            if over:
                return looks.runs
            wait(PAUSE)


class _Looks:
    """The status of the runs at the last update; runs that have ended are not read again."""

    def __init__(self, folder: SweepDir, planned: list[Planned]) -> None:
        self._folder, self._planned = folder, planned
        self._ended, self._looked = dict[Planned, RunStatus](), 0.0
        self.runs: list[RunStatus] = []

    def over(self) -> bool:
        """Read the folder again; returns whether every run has ended, and no more are to come."""
        more = to_come(self._folder)
        _, self._planned = reopen(self._folder.path)
        unfinished = [planned for planned in self._planned if planned not in self._ended]
        new = {run.planned: run for run in status(self._folder, unfinished)}
        self._ended |= {planned: run for planned, run in new.items() if run.state in ENDED}
        self.runs = [self._ended.get(planned) or new[planned] for planned in self._planned]
        return not more and len(self._ended) == len(self._planned)

    def table(self) -> Group:
        """The table of arms and seeds with a progress bar, at most `PAUSE` seconds old."""
        if time.monotonic() - self._looked >= PAUSE:
            self.over()
            self._looked = time.monotonic()
        head, *rows = status_cells(self.runs)
        drawn = {planned.arm: planned.drawn for planned in self._planned if planned.drawn}
        if drawn:
            head, rows = (*head, "drawn"), [(*row, drawn.get(row[0], "")) for row in rows]
        grid = Table(box=None, padding=(0, 2, 0, 0))
        for name in head:
            grid.add_column(Text(name), no_wrap=True)
        for row in rows:
            grid.add_row(*map(Text, row))
        done, total = _steps(self.runs)
        bar = Padding(ProgressBar(total=max(total, 1), completed=done), 0)  # on its own line
        return Group(grid, bar, Text(tally(self.runs)))


def _steps(runs: Sequence[RunStatus]) -> tuple[int, int]:
    """How many updates are done, counting ended runs as complete, and how many there are."""
    total = sum(run.planned.steps for run in runs)
    done = (run.planned.steps if run.state in ENDED else run.step for run in runs)
    return sum(done), total


def tally(runs: Sequence[RunStatus]) -> str:
    """How many runs have ended, how fast the others are, and how long they will still take."""
    under_way = [run for run in runs if run.state not in ENDED]
    begun = [run for run in under_way if run.state != "waiting"]
    words = [f"{len(runs) - len(under_way)} of {len(runs)} runs ended", f"{len(begun)} under way"]
    step_s = {run.planned: run.metrics[_STEP_TIME] for run in runs if _STEP_TIME in run.metrics}
    if under_way and step_s:
        typical = fmean(step_s.values())
        if begun:
            rate = sum(1 / step_s.get(run.planned, typical) for run in begun)
            words.append(f"{quantity(rate)} steps/s")
        times = [
            (run.planned.steps - run.step) * step_s.get(run.planned, typical) for run in under_way
        ]
        words.append(f"about {clock(sum(times) / max(len(begun), 1))} left")
    return "  ".join(words)
