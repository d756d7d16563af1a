"""Starts, watches and retries the runs of a sweep. An engine decides where they are trained."""

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
from fgspec.sweeps.folder import ENDED, Planned, RunStatus, SweepDir, fail, status
from fgspec.sweeps.node import Order
from fgspec.training.loop import Preempted

TICK = 0.1
"""Seconds between two checks whether the sweep was told to stop."""

_PROGRESS = re.compile(r"run |step \d|compilation cache|    |Traceback|  File ")
"""Lines of output that do not say why a process ended: progress, and the lines of a traceback."""

_LAST = 5
"""How many of the last lines of output are shown as the reason, at most."""

FINAL = (2, 3, STOPPED)
"""Exit codes for which a retry is useless: a wrong spec, a refused resume, a request to stop."""


@dataclass(frozen=True)
class Site:
    """What an engine needs to know about a sweep.

    Attributes:
        folder: the folder of the sweep, locked.
        lock: the file descriptor of that lock.
        jobs: how many runs may be trained at a time; None if this was not given.
        resources: what each run asks for, in the names of Ray or submitit, so that users need not
            learn names of our own.
        say: prints a line about what the engine does.
    """

    folder: SweepDir
    lock: int
    jobs: int | None
    resources: Mapping[str, Any]
    say: Callable[[str], None]


@dataclass(frozen=True)
class Gone:
    """How a process, task or job ended.

    Attributes:
        code: its exit code; None if it is unknown.
        how: how it ended, in words, such as "ended with exit code 1".
    """

    code: int | None
    how: str


class Engine(Protocol):
    """Trains the runs of one sweep. Each run that was started is known by a handle, a string."""

    @property
    def at_once(self) -> int | None:
        """How many runs may be started at a time; None means all."""
        ...

    @property
    def pause(self) -> float:
        """Seconds to wait between two calls of `gone`."""
        ...

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """Runs that an earlier call of the sweep started and that have not ended, by handle."""
        ...

    def start(self, runs: Sequence[RunStatus]) -> Mapping[str, Planned]:
        """Start runs; returns each by its handle."""
        ...

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Those of the runs that have ended, by handle."""
        ...

    def leave(self, handles: Sequence[str]) -> str:
        """Called when the sweep was told to stop; returns what happens to its runs, in words."""
        ...


@dataclass(frozen=True)
class Watch:
    """How runs are watched.

    Attributes:
        retries: how often a run is tried again after its process was killed or failed.
        say: prints a line for every run that ended.
        stopping: returns whether the sweep was told to stop.
    """

    retries: int
    say: Callable[[str], None]
    stopping: Callable[[], bool]


def place(folder: SweepDir, run: RunStatus) -> Path:
    """The folder of a run: the existing one, or else the one that it will get."""
    planned = run.planned
    label = f"seed-{planned.seed}-{planned.sha256[:8]}"
    return run.run or folder.path / planned.name / label


def command(folder: SweepDir, run: RunStatus) -> list[str]:
    """The command line that starts a run, or resumes it if it exists."""
    planned = run.planned
    spec = [str(folder.spec(planned.arm)), "--set", f"seed={planned.seed}"]
    to_folder = ["--run", str(place(folder, run))]
    return [sys.executable, "-m", "fgspec", "train", *spec, *to_folder]


def order(folder: SweepDir, run: RunStatus) -> Order:
    """What a node of a cluster must do for a run."""
    folder = SweepDir(folder.path.resolve())
    planned = run.planned
    run = RunStatus(planned, run.state, run.run and run.run.resolve())
    return Order(
        # The run's lock can be broken, because the order's own lock already waits for a process
        # that a lost node left behind.
        command=(*command(folder, run), "--break-lock"),
        run=str(place(folder, run)),
        log=str(folder.log(planned)),
        lock=str(folder.lock(planned)),
        code=str(folder.code(planned)),
        cwd=os.getcwd(),
        environment={k: v for k, v in os.environ.items() if k.startswith("FGSPEC_")},
    )


def run_all(folder: SweepDir, todo: Sequence[Planned], engine: Engine, watch: Watch) -> None:
    """Train all runs of `todo`.

    Raises:
        Preempted: the sweep was told to stop; the message says what happens to the runs.
        UserError: the engine cannot start the runs.
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
            (run,) = status(folder, [planned])
            again = run.state not in ENDED and tries[planned] > 0 and gone.code not in FINAL
            if again:
                tries[planned] -= 1
                waiting.append(planned)
                watch.say(f"{planned}: {gone.how} at step {run.step}; it is tried again")
                continue
            log = folder.log(planned)
            if run.state != "done" and gone.code == STOPPED:
                watch.say(f"{planned}: {gone.how} at step {run.step}; see {log}")
                continue
            if run.state != "done":
                fail(folder, planned, _reason(gone.how, log))
            watch.say(outcome(*status(folder, [planned])))


def _told_to_stop(pause: float, stopping: Callable[[], bool]) -> bool:
    """Wait for some seconds, or until the sweep is told to stop; returns whether it was."""
    until = time.monotonic() + pause
    while not (stop := stopping()) and time.monotonic() < until:
        time.sleep(TICK)
    return stop


def _reason(how: str, log: Path) -> str:
    """Why a process failed: the last lines that it printed, without its progress."""
    if not log.exists():
        return f"{how}; it printed nothing"
    last: list[str] = []
    for line in reversed(log.read_text(errors="replace").splitlines()):
        if _PROGRESS.match(line) or len(last) == _LAST:
            break
        last.insert(0, line)
    printed = " ".join(filter(None, map(str.strip, last)))
    return f"{printed or how}; see {log}"


def outcome(run: RunStatus) -> str:
    """A line about a run that ended."""
    if run.reason:
        return f"{run.planned}: {run.state}: {run.reason}"
    metric = shown(run.metrics)
    value = f", {metric} {run.metrics[metric]:.4f}" if metric in run.metrics else ""
    return f"{run.planned}: {run.state} at step {run.step}{value}"


def how(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
