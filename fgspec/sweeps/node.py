"""Trains one run on a node of a cluster: its process, its log, and a lock against a second process.

Ray and SLURM start this code on a node. It imports nothing heavy, because the run has a process of
its own.
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
"""Seconds between two checks of a process or a lock."""


@dataclass(frozen=True)
class Order:
    """What a node must run. Paths are absolute, on a file system that all nodes share.

    Attributes:
        command: the command that starts the run, or resumes it if it exists.
        run: the folder of the run.
        log: the file to which the output of the process is appended.
        lock: a file that is locked while the process lives.
        code: a file for the exit code; "" for none.
        cwd: the folder in which the command is run.
        environment: environment variables that are set in addition to those of the node.
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
    """Wait until no process holds the lock of this file, and take it; yields its descriptor."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        while not taken(file):
            time.sleep(POLL)
        yield file.fileno()


def taken(file: IO[Any]) -> bool:
    """Try to lock a file; returns whether it worked, or the file system does not support locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def begin(order: Order, lock: int) -> "subprocess.Popen[bytes]":
    """Start the process of a run. It inherits the lock, and has the scheduler's signal blocked."""
    Path(order.log).parent.mkdir(parents=True, exist_ok=True)
    # SLURM sends this signal to all processes of a job; only this process handles it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {notice()})
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
    """The signal that tells submitit that a job is about to lose its node."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def wait(process: "subprocess.Popen[bytes]") -> int:
    """Wait until a process ends; returns its exit code.

    It polls, so that the signals of Ray and SLURM are handled meanwhile; their handlers may wait
    for the same process.
    """
    while not _over(process):
        time.sleep(POLL)
    return process.wait()


def _over(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process has ended; avoids the lock that an interrupted `Popen.wait` may hold."""
    try:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return ended is not None


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to save and stop, and wait until it has; signal handlers may call this."""
    if not _over(process):
        os.kill(process.pid, signal.SIGTERM)
    while not _over(process):
        time.sleep(POLL)


@contextmanager
def put_off(number: signal.Signals) -> Iterator[None]:
    """Handle a signal that comes meanwhile only at the end.

    Ray's interrupts cannot be blocked as signals can: they call the signal's handler directly.
    """
    came: list[int] = []
    before = signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL if before is None else before)
    if came:
        signal.raise_signal(number)


def train(order: Order) -> int:
    """Carry out an order as a Ray task; returns the exit code of the process.

    Ray interrupts a cancelled task: the run is saved, and ends with exit code 75.
    """
    # Where a shell's `&` started Ray, this signal is ignored, and an interrupt would do nothing.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    process = None
    try:
        with held(order.lock) as lock:
            with put_off(signal.SIGINT):  # else an interrupt could lose a process just begun
                process = begin(order, lock)
            return wait(process)
    except KeyboardInterrupt:
        if process is not None:
            stop(process)
        return process.wait() if process is not None else STOPPED


class Job:
    """An order that submitit carries out as a SLURM job.

    When its time is over or its node is needed for other jobs, the run is saved and the job goes
    back into the queue. If the time was too short for a single step, the job fails instead.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = 0
        self._pushed_out = False

    def __call__(self) -> None:
        """Run in every task of the job; all tasks train the same run together."""
        rank = int(os.environ.get("SLURM_PROCID", "0"))
        order = joined(self.order, rank, int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")))
        self._began_at = reached(order.run)
        if not rank:
            Path(order.code).unlink(missing_ok=True)
        with held(order.lock) as lock:
            with put_off(notice()):  # its handler stops the process, so it has to know it
                self._process = begin(order, lock)
            code = wait(self._process)
        if rank:
            return
        if code == -signal.SIGTERM:  # it ended so early that there was nothing to save
            code = STOPPED
        if code == STOPPED and _state() == "RUNNING":
            self._pushed_out = True
            signal.raise_signal(notice())  # submitit puts the job back into the queue, and exits
        Path(order.code).write_text(f"{code}\n")
        if code:
            sys.exit(code)

    def checkpoint(self) -> Any:
        """What submitit runs when the job is back from the queue; None to end the job."""
        if self._process is not None:
            stop(self._process)
            stuck = reached(self.order.run) <= self._began_at
            if stuck and not self._pushed_out:
                with open(self.order.log, "a") as log:
                    log.write(
                        "the job's time was over before a step was done; ask for more with "
                        "--resource time=MINUTES\n"
                    )
                return None
        return importlib.import_module("submitit.helpers").DelayedSubmission(Job(self.order))


def joined(order: Order, rank: int, ranks: int) -> Order:
    """The order for one of several tasks of a job, which train one run together."""
    if ranks == 1:
        return order
    suffix = f".{rank}" * (rank > 0)
    files = {"log": order.log + suffix, "lock": order.lock + suffix}
    return replace(order, command=(*order.command, "--distributed"), **files)


def reached(run: str) -> int:
    """The step of the newest checkpoint of a run; 0 if it has none."""
    return max(steps_in(Path(run) / "checkpoints"), default=0)


def _state() -> str:
    """The state of this job in SLURM: RUNNING unless it was cancelled or is being ended."""
    ask = ["squeue", "--noheader", "--format", "%T", "--job", os.environ["SLURM_JOB_ID"]]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
