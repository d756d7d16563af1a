"""Runs of a sweep somewhere: started, watched, tried again; where is an engine's business."""

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fgspec.errors import STOPPED
from fgspec.spec.metrics import shown
from fgspec.sweeps.folder import ENDED, Found, Planned, SweepDir, fail, status
from fgspec.sweeps.node import Order
from fgspec.training.loop import Preempted

TICK = 0.1
"""Seconds between two looks at whether the sweep was told to stop."""

_PROGRESS = re.compile(r"run |step \d|compilation cache|    |Traceback|  File ")
"""Lines of a process that say nothing of why it ended: its progress, and where a traceback was."""

_LAST = 5
"""Lines of what a process printed that may be the reason of its end."""

FINAL = (2, 3, STOPPED)
"""Exit codes that another try would not change: a bad spec, a refused resume, told to stop."""


@dataclass(frozen=True)
class Site:
    """What an engine needs to know.

    Attributes:
        folder: of the sweep, locked.
        lock: the descriptor of that lock.
        jobs: how many runs at a time; None if it was not said.
        resources: what a run asks for, in the words of Ray or submitit: ours would be a third
            vocabulary to learn.
        say: called with a line about what the engine does.
    """

    folder: SweepDir
    lock: int
    jobs: int | None
    resources: Mapping[str, Any]
    say: Callable[[str], None]


@dataclass(frozen=True)
class Gone:
    """How what an engine started is over.

    Attributes:
        code: its exit code, if it left one.
        how: that it ended, in words.
    """

    code: int | None
    how: str


class Engine(Protocol):
    """Where runs are trained. A handle stands for one run that was started."""

    @property
    def at_once(self) -> int | None:
        """How many runs it is given at a time; None for all."""
        ...

    @property
    def pause(self) -> float:
        """Seconds between two looks at them."""
        ...

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """Runs that an earlier call of the sweep started and that are not over, by handle."""
        ...

    def start(self, runs: Sequence[Found]) -> Mapping[str, Planned]:
        """Start runs; each by its handle."""
        ...

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Those that are over."""
        ...

    def leave(self, handles: Sequence[str]) -> str:
        """The sweep was told to stop; returns what has become of its runs."""
        ...


@dataclass(frozen=True)
class Watch:
    """How runs are watched.

    Attributes:
        retries: further tries of a run whose process was killed or failed without a word.
        say: called with a line for every run that ended.
        stopping: whether the sweep was told to stop.
    """

    retries: int
    say: Callable[[str], None]
    stopping: Callable[[], bool]


def place(folder: SweepDir, found: Found) -> Path:
    """The folder of a run: that which it has, or else the one it will get."""
    planned = found.planned
    label = f"seed-{planned.seed}-{planned.sha256[:8]}"
    return found.run or folder.path / planned.name / label


def command(folder: SweepDir, found: Found) -> list[str]:
    """The command line that begins a run, and goes on with it once it has begun."""
    planned = found.planned
    spec = [str(folder.spec(planned.arm)), "--set", f"seed={planned.seed}"]
    run = ["--run", str(place(folder, found))]
    return [sys.executable, "-m", "fgspec", "train", *spec, *run]


def order(folder: SweepDir, found: Found) -> Order:
    """What a node of a cluster is to do for a run."""
    folder = SweepDir(folder.path.resolve())
    planned = found.planned
    found = Found(planned, found.state, found.run and found.run.resolve())
    return Order(
        # The order's own lock waits for a process that a lost node left behind.
        command=(*command(folder, found), "--break-lock"),
        run=str(place(folder, found)),
        log=str(folder.log(planned)),
        lock=str(folder.lock(planned)),
        code=str(folder.code(planned)),
        cwd=os.getcwd(),
        environment={k: v for k, v in os.environ.items() if k.startswith("FGSPEC_")},
    )


def run_all(folder: SweepDir, todo: Sequence[Planned], engine: Engine, watch: Watch) -> None:
    """Run what is to be done.

    Raises:
        Preempted: told to stop; says what has become of the runs.
        UserError: the engine cannot start them.
    """
    active = dict(engine.under_way(todo))
    tries = dict.fromkeys(todo, watch.retries)
    waiting = deque(planned for planned in todo if planned not in active.values())
    while waiting or active:
        room = len(waiting) if engine.at_once is None else engine.at_once - len(active)
        batch = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        if batch:
            active.update(engine.start(status(folder, batch)))
        if _told_to_stop(engine.pause, watch.stopping):
            raise Preempted(engine.leave([*active]))
        for handle, gone in engine.gone([*active]).items():
            planned = active.pop(handle)
            (found,) = status(folder, [planned])
            again = found.state not in ENDED and tries[planned] > 0 and gone.code not in FINAL
            if again:
                tries[planned] -= 1
                waiting.append(planned)
                watch.say(f"{planned}: {gone.how} at step {found.step}; it is tried again")
                continue
            log = folder.log(planned)
            if found.state != "done" and gone.code == STOPPED:
                watch.say(f"{planned}: {gone.how} at step {found.step}; see {log}")
                continue
            if found.state != "done":
                fail(folder, planned, _reason(gone.how, log))
            watch.say(outcome(*status(folder, [planned])))


def _told_to_stop(pause: float, stopping: Callable[[], bool]) -> bool:
    """Let some seconds pass, unless the sweep is told to stop."""
    until = time.monotonic() + pause
    while not (told := stopping()) and time.monotonic() < until:
        time.sleep(TICK)
    return told


def _reason(how: str, log: Path) -> str:
    """Why a process failed: what it printed at last, after all that tells its progress."""
    if not log.exists():
        return f"{how}; it printed nothing"
    last: list[str] = []
    for line in reversed(log.read_text(errors="replace").splitlines()):
        if _PROGRESS.match(line) or len(last) == _LAST:
            break
        last.insert(0, line)
    said = " ".join(filter(None, map(str.strip, last)))
    return f"{said or how}; see {log}"


def outcome(found: Found) -> str:
    """A line on a run that ended."""
    if found.reason:
        return f"{found.planned}: {found.state}: {found.reason}"
    metric = shown(found.metrics)
    told = f", {metric} {found.metrics[metric]:.4f}" if metric in found.metrics else ""
    return f"{found.planned}: {found.state} at step {found.step}{told}"


def how(code: int) -> str:
    """That a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
