"""One run where a cluster put it: its process, its log, and the lock that no second one gets.

This is what Ray and SLURM start on a node. It imports nothing heavy: the run has its own process.
"""

import fcntl
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from fgspec.errors import STOPPED
from fgspec.training.steps import steps_in

POLL = 0.1
"""Seconds between two looks at a process, or at a lock."""


@dataclass(frozen=True)
class Order:
    """What a node is to run. Paths are absolute, on a file system that all nodes share.

    Attributes:
        command: that begins the run or goes on with it, whichever it is.
        run: the folder of the run.
        log: where the process writes what it prints, after what stands there.
        lock: a file that is locked while the process lives.
        code: a file for its exit code; "" for none.
        cwd: the folder in which the command is run.
        environment: variables beside those of the node.
    """

    command: tuple[str, ...]
    run: str
    log: str
    lock: str
    code: str
    cwd: str
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def held(path: str) -> Iterator[int]:
    """Wait until no process holds the lock of this file, and hold it; yields its descriptor."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        while not taken(file):
            time.sleep(POLL)
        yield file.fileno()


def taken(file: IO[Any]) -> bool:
    """Whether the lock of a file is ours now; also where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def begin(order: Order, lock: int) -> "subprocess.Popen[bytes]":
    """Start the process of a run; it holds the lock too, and never gets the scheduler's signal."""
    Path(order.log).parent.mkdir(parents=True, exist_ok=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {notice()})  # which SLURM sends to every process
    try:
        with open(order.log, "ab") as log:
            return subprocess.Popen(
                order.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                cwd=order.cwd,
                env={**os.environ, **order.environment},
            )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {notice()})


def notice() -> signal.Signals:
    """The signal by which submitit hears that a job is about to lose its node."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def wait(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of a process, once it ended.

    It looks and sleeps: Ray's and SLURM's signals are handled meanwhile, and their handlers may
    wait for the same process.
    """
    while not _over(process):
        time.sleep(POLL)
    return process.wait()


def _over(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process ended; takes none of the locks that an interrupted `Popen` may hold."""
    try:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return ended is not None


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to save and stop, and wait until it has; a signal's handler may."""
    if not _over(process):
        os.kill(process.pid, signal.SIGTERM)
    while not _over(process):
        time.sleep(POLL)


def train(order: Order) -> int:
    """Carry out an order, as a task of Ray; the process's exit code.

    A cancelled task is interrupted: it saves, and ends with exit code 75.
    """
    process = None
    try:
        with held(order.lock) as lock:
            process = begin(order, lock)
            return wait(process)
    except KeyboardInterrupt:
        if process is not None:
            stop(process)
        return process.wait() if process is not None else STOPPED


class Job:
    """An order, carried out as a job of SLURM by submitit.

    At the end of its time, or when its node is taken for other jobs, the run is saved and the job
    goes back into the queue. One whose time was too short for a single step fails instead.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = 0
        self._pushed_out = False

    def __call__(self) -> None:
        """Run in every task of the job; those beside the first join its run."""
        rank = int(os.environ.get("SLURM_PROCID", "0"))
        order = joined(self.order, rank, int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")))
        self._began_at = reached(order.run)
        if not rank:
            Path(order.code).unlink(missing_ok=True)
        with held(order.lock) as lock:
            self._process = begin(order, lock)
            code = wait(self._process)
        if rank:
            return
        if code == -signal.SIGTERM:  # before it could save, when there was nothing to be saved
            code = STOPPED
        if code == STOPPED and _state() == "RUNNING":
            self._pushed_out = True
            signal.raise_signal(notice())  # submitit puts the job back into the queue, and exits
        Path(order.code).write_text(f"{code}\n")
        if code:
            sys.exit(code)

    def checkpoint(self) -> Any:
        """What is to be run when the job is back, as submitit asks; None if it is not to be."""
        if self._process is not None:
            stop(self._process)
            stuck = reached(self.order.run) <= self._began_at
            if stuck and not self._pushed_out:
                with open(self.order.log, "a") as log:
                    log.write("the job's time was over before a step was done; ask for more time\n")
                return None
        return importlib.import_module("submitit.helpers").DelayedSubmission(Job(self.order))


def joined(order: Order, rank: int, ranks: int) -> Order:
    """The order of one task of a job of several, which train one run together."""
    if ranks == 1:
        return order
    mine = f".{rank}" * (rank > 0)
    own = {"log": order.log + mine, "lock": order.lock + mine}
    return replace(order, command=(*order.command, "--distributed"), **own)


def reached(run: str) -> int:
    """The step of the newest checkpoint of a run; 0 if it has none."""
    return max(steps_in(Path(run) / "checkpoints"), default=0)


def _state() -> str:
    """What SLURM says of this job: RUNNING unless it was cancelled or is being ended."""
    ask = ["squeue", "--noheader", "--format", "%T", "--job", os.environ["SLURM_JOB_ID"]]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
