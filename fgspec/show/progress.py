"""The progress of a run: a bar on a terminal and in a notebook, plain lines in a file.

Also the line that opens a run, and a spinner for what takes a while.
"""

import html
import importlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from fgspec.loading.spec_file import Loaded
from fgspec.show.lines import say
from fgspec.show.text import followed, headline
from fgspec.spec.metrics import shown

_RECENT = 10.0
"""Seconds over which the rate is averaged."""

_LEAST_BAR = 8
_NOTEBOOK_WIDTH = 110
_NOTEBOOK_PAUSE = 0.25


def opening(loaded: Loaded) -> str:
    """The line that opens a run: name, rule, data, length, seed, and where it runs."""
    spec = loaded.experiment
    rules = (origin.rule for origin in loaded.origins.values() if origin.rule)
    rule = next(rules, f"{spec.gradient.target} {spec.gradient.estimator} gradients")
    training = spec.training
    length = f"{training.steps} steps" if training.steps else f"{training.epochs} epochs"
    back_end = os.environ.get("JAX_PLATFORMS")
    where = f"{socket.gethostname()}, {back_end or f'{os.cpu_count()} CPU cores'}"
    data = f"{spec.data.source} in batches of {spec.data.batch_size}"
    return f"{spec.name}: {rule} on {data}, {length}, seed {spec.seed}; on {where}"


class _Seconds(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The seconds of a wait."""
        return Text(f"{task.elapsed or 0:.0f} s")


@contextmanager
def waiting(what: str, console: Console) -> Iterator[Callable[[str], None]]:
    """Show a spinner with the elapsed seconds while something runs, on a terminal only.

    Args:
        what: the text beside the spinner.
        console: where to show it.

    Yields:
        A function that changes the text.
    """
    if not console.is_terminal or console.quiet:
        yield lambda what: None
        return
    shown = (SpinnerColumn(), TextColumn("{task.description}", markup=False), _Seconds())
    with Progress(*shown, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda what: progress.update(task, description=what)


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`: hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class State:
    """How far a run is, as lines of text of a given width.

    Args:
        total: the number of steps of the run.
        start: the number of steps already done.
        per_epoch: the number of steps in an epoch.
        best: the best error so far, if there is one.
        now: a function that returns the time in seconds.
    """

    def __init__(
        self,
        total: int,
        start: int,
        per_epoch: int,
        best: float | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.total, self.step, self.known = total, start, dict[str, float]()
        self._start, self._per_epoch, self._best, self._now = start, per_epoch, best, now
        self._began = now()
        self._recent = deque([(self._began, start)])

    def take(self, step: int, known: Mapping[str, float], away: float = 0.0) -> None:
        """Take note that a step is done.

        Args:
            step: the number of steps done.
            known: the last value of each metric.
            away: the seconds spent so far on anything but updates, such as evaluations.
        """
        self.step, self.known = step, dict(known)
        if (value := known.get(shown(known))) is not None:
            self._best = value if self._best is None else min(value, self._best)
        self._recent.append((self._now() - away, step))
        while self._recent[-1][0] - self._recent[1][0] > _RECENT:
            self._recent.popleft()

    def counted(self) -> tuple[str, str]:
        """The steps and the epochs done so far, as text."""
        epochs = f"epoch {self.step / self._per_epoch:.4g}/{self.total / self._per_epoch:.4g}"
        return f"step {self.step}/{self.total}", epochs

    def timed(self) -> list[str]:
        """The recent rate of updates, the elapsed time and the time left, as text.

        The time left is that of the steps so far, evaluations included, for as many as remain.
        """
        (before, first), (last, step) = self._recent[0], self._recent[-1]
        rate = (step - first) / max(last - before, 1e-9)
        elapsed, done = self._now() - self._began, self.step - self._start
        left = f"{clock((self.total - self.step) * elapsed / done)} left" if done else "-:-- left"
        return [f"{rate:.3g} steps/s", f"{clock(elapsed)} elapsed", left]

    def metrics(self) -> list[str]:
        """The metrics of the progress line as text, the leading one with its best value so far."""
        leading = shown(self.known)
        texts = {name: headline({name: self.known[name]}) for name in followed(self.known)}
        if leading in texts and self._best is not None:
            texts[leading] += f" (best {self._best:.4f})"
        return list(texts.values())

    def line(self) -> str:
        """Everything in one line, for a file."""
        return "  ".join([*self.counted(), *self.metrics(), *self.timed()])

    def drawn(self, width: int, full: str, empty: str) -> list[str]:
        """Lines of at most `width` characters; a bar takes the space that is left in the first."""
        (steps, epochs), timed, metrics = self.counted(), self.timed(), self.metrics()
        full_line = [steps, epochs], [*timed, *metrics]
        narrow = ([steps, epochs], timed), ([epochs], timed), ([epochs], timed[1:]), ([], timed[2:])
        for before, after in (full_line, *narrow):
            room = width - len("  ".join([*before, "", *after]))
            if room >= _LEAST_BAR:
                done = room * self.step // max(self.total, 1)
                bar = full * done + empty * (room - done)
                rest = [] if after is full_line[1] else _wrapped(metrics, width)
                return ["  ".join([*before, bar, *after]), *rest]
        return _wrapped([epochs, *timed, *metrics], width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines as wide as the terminal."""
        letters = "##-" if options.ascii_only else "━━─"
        for line in self.drawn(options.max_width, letters[0], letters[2]):
            text = Text(line, no_wrap=True, overflow="crop")
            text.highlight_regex(f"{letters[0]}+", "green")
            yield text


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    """Lines of words; no word is broken."""
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]}  {word}" if lines else word
        if lines and len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word[:width])
    return lines


class _Lines:
    """A new line for every log: a file cannot take back what was written."""

    def __init__(self, state: State, console: Console) -> None:
        self._state, self._console, self._shown = state, console, dict[str, float]()

    def show(self) -> None:
        if self._state.known != self._shown:
            self._shown = self._state.known
            say(self._console, self._state.line())

    def close(self) -> None:
        pass


class _Bar:
    """A bar that stays at the bottom of a terminal."""

    def __init__(self, state: State, console: Console) -> None:
        self._live = Live(state, console=console, refresh_per_second=4)
        self._live.start()

    def show(self) -> None:
        pass  # it draws itself four times a second

    def close(self) -> None:
        self._live.stop()


class _Cell:
    """Lines below a notebook's cell that replace those before."""

    def __init__(self, state: State, console: Console) -> None:
        self._state, self._drawn, self._handle = state, -_NOTEBOOK_PAUSE, None
        self._display: Any = importlib.import_module("IPython.display")

    def show(self) -> None:
        if time.perf_counter() - self._drawn < _NOTEBOOK_PAUSE:
            return
        self._drawn = time.perf_counter()
        text = html.escape("\n".join(self._state.drawn(_NOTEBOOK_WIDTH, "━", "─")))
        page = self._display.HTML(f"<pre>{text}</pre>")
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)

    def close(self) -> None:
        self._drawn = -_NOTEBOOK_PAUSE
        self.show()


class Reporter:
    """Shows the progress of a run on a terminal, in a notebook or in a file.

    Args:
        total: the number of steps of the run.
        start: the number of steps already done.
        console: where to print.
        per_epoch: the number of steps in an epoch.
        best: the best error so far, if there is one.
    """

    def __init__(
        self,
        total: int,
        start: int,
        console: Console,
        per_epoch: int = 1,
        best: float | None = None,
    ) -> None:
        self._state = State(total, start, per_epoch, best)
        seen = console.is_terminal and not console.quiet
        kind = _Cell if console.is_jupyter and not console.quiet else _Bar if seen else _Lines
        self._way = kind(self._state, console)

    def show(self, step: int, known: Mapping[str, float], away: float = 0.0) -> None:
        """Show that a step is done; see `State.take`."""
        self._state.take(step, known, away)
        self._way.show()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._way.close()
