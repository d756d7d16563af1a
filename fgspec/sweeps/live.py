"""How far the runs of a sweep are, while they are trained: a table on a terminal, else lines."""

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
from fgspec.sweeps.folder import ENDED, Found, Planned, SweepDir, reopen, status, to_come
from fgspec.sweeps.show import status_cells

PAUSE = 1.0
"""Seconds between two looks at the folder."""

_STEP_TIME = "perf/step_time_s"


@contextmanager
def followed(folder: SweepDir, planned: list[Planned], console: Console) -> Iterator[None]:
    """Show a table of all runs that renews itself while the block trains them, on a terminal."""
    if not console.is_terminal:
        yield
        return
    table = _Looks(folder, planned).table
    live = Live(get_renderable=table, console=console, refresh_per_second=1)
    with live, at_last(live.stop):  # which shows the cursor again
        yield


def watch(
    folder: SweepDir,
    planned: list[Planned],
    console: Console,
    wait: Callable[[float], None] = time.sleep,
) -> list[Found]:
    """Show the table until every run has ended; a line for each change where there is no terminal.

    Returns:
        What there is of every run then.
    """
    looks, told = _Looks(folder, planned), dict[Planned, str]()
    with followed(folder, planned, console):
        while True:
            over = looks.over()
            changed = [one for one in looks.found if told.get(one.planned) != one.state]
            told |= {one.planned: one.state for one in changed}
            if changed and not console.is_terminal:
                for one in changed:
                    step = f"step {one.step}/{one.planned.steps}"
                    say(console, f"{one.planned}: {one.state} at {step}")
                say(console, tally(looks.found))
            if over:
                return looks.found
            wait(PAUSE)


class _Looks:
    """What was seen of the runs at the last look; runs that ended are not read again."""

    def __init__(self, folder: SweepDir, planned: list[Planned]) -> None:
        self._folder, self._planned = folder, planned
        self._ended, self._looked = dict[Planned, Found](), 0.0
        self.found: list[Found] = []

    def over(self) -> bool:
        """Look again; whether every run has ended, and a search chooses no more."""
        more = to_come(self._folder)
        _, self._planned = reopen(self._folder.path)
        open_ones = [one for one in self._planned if one not in self._ended]
        new = {one.planned: one for one in status(self._folder, open_ones)}
        self._ended |= {planned: one for planned, one in new.items() if one.state in ENDED}
        self.found = [self._ended.get(one) or new[one] for one in self._planned]
        return not more and len(self._ended) == len(self._planned)

    def table(self) -> Group:
        """Arms and seeds, and how far all of them are, as of at most `PAUSE` seconds ago."""
        if time.monotonic() - self._looked >= PAUSE:
            self.over()
            self._looked = time.monotonic()
        head, *rows = status_cells(self.found)
        drawn = {one.arm: one.drawn for one in self._planned if one.drawn}
        if drawn:
            head, rows = (*head, "drawn"), [(*row, drawn.get(row[0], "")) for row in rows]
        grid = Table(box=None, padding=(0, 2, 0, 0))
        for name in head:
            grid.add_column(Text(name), no_wrap=True)
        for row in rows:
            grid.add_row(*map(Text, row))
        done, whole = _steps(self.found)
        bar = Padding(ProgressBar(total=max(whole, 1), completed=done), 0)  # a line of its own
        return Group(grid, bar, Text(tally(self.found)))


def _steps(found: Sequence[Found]) -> tuple[int, int]:
    """Updates that are done, or never will be, and all."""
    whole = sum(one.planned.steps for one in found)
    over = (one.planned.steps if one.state in ENDED else one.step for one in found)
    return sum(over), whole


def tally(found: Sequence[Found]) -> str:
    """How many runs ended, how fast the others are, and about how long they still take."""
    under_way = [one for one in found if one.state not in ENDED]
    begun = [one for one in under_way if one.state != "waiting"]
    words = [f"{len(found) - len(under_way)} of {len(found)} runs ended", f"{len(begun)} under way"]
    known = {one.planned: one.metrics[_STEP_TIME] for one in found if _STEP_TIME in one.metrics}
    if under_way and known:
        typical = fmean(known.values())
        if begun:
            rate = sum(1 / known.get(one.planned, typical) for one in begun)
            words.append(f"{quantity(rate)} steps/s")
        times = [
            (one.planned.steps - one.step) * known.get(one.planned, typical) for one in under_way
        ]
        words.append(f"about {clock(sum(times) / max(len(begun), 1))} left")
    return "  ".join(words)
