"""Runs of a sweep as processes on this machine, some at a time, each an ordinary `fgspec train`."""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fgspec.loop import Preempted
from fgspec.sweeps.folder import ENDED, Found, Planned, SweepDir, status

POLL = 0.1
"""Seconds between two looks at the processes."""

FINAL = (2, 3, 75)
"""Exit codes that another try would not change: a bad spec, a refused resume, told to stop."""


@dataclass(frozen=True)
class Pool:
    """How processes are started.

    Attributes:
        jobs: how many at a time.
        retries: further tries of a run whose process was killed or failed without a word.
        lock: the descriptor that they inherit.
        say: called with a line for every run that ended.
        stopping: whether the sweep was told to stop.
    """

    jobs: int
    retries: int
    lock: int
    say: Callable[[str], None]
    stopping: Callable[[], bool]


def command(folder: SweepDir, found: Found) -> list[str]:
    """The command line that begins a run or goes on with it."""
    verb = [sys.executable, "-m", "fgspec", "train"]
    if found.run is not None:
        return [*verb, "--resume", str(found.run)]
    planned = found.planned
    spec = [str(folder.spec(planned.arm)), "--set", f"seed={planned.seed}"]
    return [*verb, *spec, "--run-dir", str(folder.path)]


def run_processes(folder: SweepDir, todo: Sequence[Planned], pool: Pool) -> None:
    """Run what is to be done.

    Raises:
        Preempted: told to stop; every run has saved its state.
    """
    waiting = deque((planned, pool.retries) for planned in todo)
    active: list[tuple[subprocess.Popen[bytes], Planned, int]] = []
    while waiting or active:
        if pool.stopping():
            _stop([process for process, _, _ in active])
            raise Preempted(f"stopped; every run is saved: {folder.path}")
        while waiting and len(active) < pool.jobs:
            planned, tries = waiting.popleft()
            active.append((_start(folder, planned, pool), planned, tries))
        time.sleep(POLL)
        for entry in [entry for entry in active if entry[0].poll() is not None]:
            active.remove(entry)
            process, planned, tries = entry
            (found,) = status(folder, [planned])
            code = process.returncode
            again = found.state not in ENDED and tries > 0 and code not in FINAL
            if again:
                waiting.append((planned, tries - 1))
            pool.say(_ending(found, code, again, folder))


def _start(folder: SweepDir, planned: Planned, pool: Pool) -> subprocess.Popen[bytes]:
    (found,) = status(folder, [planned])
    log = folder.log(planned)
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            command(folder, found),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=(pool.lock,),
        )


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask processes to save and stop, and wait until they have."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def _ending(found: Found, code: int, again: bool, folder: SweepDir) -> str:
    if found.state in ENDED:
        return outcome(found)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    what = "it is tried again" if again else f"see {folder.log(found.planned)}"
    return f"{found.planned}: {how} at step {found.step}; {what}"


def outcome(found: Found) -> str:
    """A line on a run that ended."""
    error = found.metrics.get("eval/error")
    told = f", eval/error {error:.4f}" if error is not None else ""
    return f"{found.planned}: {found.state} at step {found.step}{told}"
