"""The processes of a run on one host: started, watched, and started again when one dies.

JAX ends every process of a run when one of them is lost, so only something outside can go on. A
checkpoint is all that the next attempt needs: each begins with the same command.
"""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, NamedTuple

from fgspec.errors import LOST, STOPPED
from fgspec.processes.stopping import SUPERVISED, deferred

_FINAL = (1, 2, 3, STOPPED)
"""Exit codes after which another attempt would end as this one did."""

_ECHO, _CAUSE, _KILLED = 1, 2, 3
"""A rank that may have lost another; one that ended of its own accord; one that was killed."""

_POLL = 0.05  # seconds between two looks at the processes
_GRACE = 15.0  # seconds in which the others end after one did
_STOPPING = 5.0  # the same once all were told to stop: one ends only when all have saved
_LAST = 20  # lines of what a process said last


class Rank(NamedTuple):
    """One process of a run, and the file of what it says, unless that is for the terminal."""

    number: int
    process: subprocess.Popen[bytes]
    said: IO[bytes] | None


def supervise(
    command: Sequence[str],
    processes: int,
    environment: Mapping[str, str],
    retries: int,
    say: Callable[[str], None],
) -> int:
    """Run a command in many processes to its end, again from the start if one of them dies.

    Args:
        command: what each runs, but for the options that join it to the others.
        processes: how many.
        environment: of each.
        retries: how often they may be started again.
        say: called with a line for a person.

    Returns:
        The exit code of the run: 0, that of the error that ended it, or 76 if it died too often.
    """
    with deferred() as asked:
        for left in range(retries, -1, -1):
            code, cause = _attempt(command, processes, environment, asked)
            if code in (0, *_FINAL) or asked():
                if cause:
                    say(cause)
                return code
            again = f"restarting all from the last checkpoint; at most {left - 1} more times"
            say(f"{cause}; the others were stopped; {again if left else 'no retries are left'}")
    return LOST


def simulated(devices: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a process sees so many devices, which the CPU simulates."""
    flags = f"{environment.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**environment, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip()}


def _attempt(
    command: Sequence[str],
    processes: int,
    environment: Mapping[str, str],
    asked: Callable[[], bool],
) -> tuple[int, str]:
    """Run all processes until all end or one dies: the run's exit code, and what to say of it."""
    address = f"127.0.0.1:{_free_port()}"
    bound = {**environment, "JAX_COORDINATOR_BIND_ADDRESS": address, SUPERVISED: "1"}
    joined = ["--coordinator", address, "--num-processes", str(processes), "--process-id"]
    with ExitStack() as stack:
        ranks = []
        for number in range(processes):
            said = stack.enter_context(tempfile.TemporaryFile()) if number else None
            process = subprocess.Popen(
                [*command, *joined, str(number)],
                env=bound,
                stdin=subprocess.PIPE,  # closed by the system when this process ends, however
                stdout=said,
                stderr=said and subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the supervisor, which passes it on
            )
            stack.callback(_end, process)
            ranks.append(Rank(number, process, said))
        return _watch(ranks, asked)


def _watch(ranks: Sequence[Rank], asked: Callable[[], bool]) -> tuple[int, str]:
    """Wait until every rank ended, or one died: the run's exit code, and what to say of it."""
    passed_on, patience = False, float("inf")
    while time.monotonic() < patience:
        codes = [rank.process.poll() for rank in ranks]
        if None not in codes or any(_blame(code) in (_ECHO, _KILLED) for code in codes):
            break
        if asked() and not passed_on:
            passed_on = True
            for rank in ranks:
                rank.process.send_signal(signal.SIGTERM)
        if any(code is not None for code in codes):
            grace = _STOPPING if passed_on else _GRACE
            patience = min(patience, time.monotonic() + grace)
        time.sleep(_POLL)
    running = [rank for rank in ranks if rank.process.poll() is None]
    cause = max(ranks, key=lambda rank: _blame(rank.process.poll()))
    if running and not cause.process.returncode:
        cause = running[0]
    code = cause.process.returncode
    if code is None or _blame(code) in (_ECHO, _KILLED):
        # Told to stop, a process may end before it has met the others, which then lose it.
        return (STOPPED if passed_on else LOST), _told(cause)
    # Rank 0 has told the terminal why it ended; the others usually ended for the same reason.
    return code, _told(cause) if cause.number else ""


def _blame(code: int | None) -> int:
    """How surely a rank that ended with this code, if it did, is what ended the run."""
    if code in (None, 0):
        return 0
    if code in _FINAL:
        return _CAUSE
    return _ECHO if code in (LOST, -signal.SIGABRT) else _KILLED


def _told(rank: Rank) -> str:
    """How a rank ended, and the last it said, if that was not said on the terminal."""
    code = rank.process.returncode
    how = f"ended with exit code {code}" if code is not None else "did not stop with the others"
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    lines = [f"process {rank.number} {how}"]
    if rank.said is not None and code is not None and code > 0:
        rank.said.seek(0)
        said = rank.said.read().decode(errors="replace").strip()
        lines = [f"  {line}" for line in said.splitlines()[-_LAST:]] + lines
    return "\n".join(lines)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
