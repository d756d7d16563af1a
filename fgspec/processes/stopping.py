"""Signals that ask a process to stop: at once where nothing can be lost, else after a save.

The command line calls `end_at_once` before it imports anything heavy. Training is then put into
`deferred`, where the first signal is only a question's answer and the second ends the process.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fgspec.errors import LOST, STOPPED

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
"""Ctrl-C, schedulers' and terminals' ways to end a process, and what SLURM can be told to send."""

TOGETHER = 0.3
"""Seconds in which further signals belong to the first: a terminal and a supervisor, or `scancel`
and a job's own script, tell the same process the same thing."""

SUPERVISED = "FGSPEC_SUPERVISED"
"""Variable of the processes whose standard input is a pipe that their supervisor holds open."""


@dataclass
class _Requests:
    """What this process was told, and what it does about it.

    Attributes:
        ends: whether a signal ends this process by itself, as the command line has it.
        deferring: whether something would be lost if it ended now.
        first: the first signal of a request to stop, and when it came.
        advice: said when the process ends at once: what is lost, and how to go on.
        last: done when the process ends at once.
    """

    ends: bool = False
    deferring: bool = False
    first: tuple[int, float] | None = None
    advice: str = "nothing is lost; repeat the command to start again"
    last: list[Callable[[], None]] = field(default_factory=list)


_REQUESTS = _Requests()


def end_at_once() -> None:
    """From now on a signal ends this process with a line and exit code 75, unless it is deferred.

    A thread does that, as Python calls handlers between two of its own instructions only: not while
    XLA compiles. Only for a process of its own, as it stays so.
    """
    heard, signalled = os.pipe()
    os.set_blocking(signalled, False)
    for number in _heeded():
        signal.signal(number, _nothing)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    # A forked child would write its own signals into this process's pipe.
    os.register_at_fork(after_in_child=_forget)
    _REQUESTS.ends = True
    threading.Thread(target=_listen, args=[heard], name="signals", daemon=True).start()


def end_with_supervisor() -> None:
    """End this process when its supervisor is gone, if it has one, even by `kill -9`."""
    if os.environ.get(SUPERVISED):
        threading.Thread(target=_outlived, name="supervisor", daemon=True).start()


def advise(advice: str) -> None:
    """What is to be said, from now on, when a signal ends the process at once."""
    _REQUESTS.advice = advice


@contextmanager
def at_last(do: Callable[[], None]) -> Iterator[None]:
    """Do something also where a signal ends the process inside the block, which never ends then."""
    _REQUESTS.last.append(do)
    try:
        yield
    finally:
        _REQUESTS.last.remove(do)
        do()


def told() -> bool:
    """Whether the command line was told to stop while that was deferred, and has not done so."""
    return _REQUESTS.first is not None


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Let signals wait: yields the question whether one came; a second one acts at once.

    Where fgspec is used as a library, a signal that nobody asked about is raised again at the end.
    """
    heard, outer = False, _REQUESTS.deferring

    def asked() -> bool:
        nonlocal heard
        heard = heard or told()
        return heard

    before = {} if _REQUESTS.ends else _handlers()
    try:
        for number in before:
            signal.signal(number, lambda number, _: _as_library(number, before))
    except ValueError:  # not in the main thread, which alone may handle signals
        before = {}
    _REQUESTS.deferring = True
    try:
        yield asked
    finally:
        _REQUESTS.deferring = outer
        _restore(before)
        if before and (came := _REQUESTS.first) is not None:
            _REQUESTS.first = None
            if not heard:
                signal.raise_signal(came[0])


def _heeded() -> list[int]:
    # `nohup` ignores SIGHUP, which must stay so. A shell's `&` ignores SIGINT without being asked.
    ignored = {n for n in SIGNALS if signal.getsignal(n) is signal.SIG_IGN} - {signal.SIGINT}
    return [number for number in SIGNALS if number not in ignored]


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _heeded()}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        # None is a handler that some library installed in C and Python cannot put back.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _is_first(number: int) -> bool:
    """Remember a signal; whether it belongs to the first request to stop."""
    now = time.monotonic()
    if _REQUESTS.first is None:
        _REQUESTS.first = (number, now)
        return True
    return now - _REQUESTS.first[1] < TOGETHER


def _as_library(number: int, before: dict[int, Any]) -> None:
    if not _is_first(number):
        _restore(before)
        signal.raise_signal(number)


def _nothing(number: int, frame: Any) -> None:
    """Python tells the thread of a signal only where it has a handler."""


def _listen(heard: int) -> None:
    while True:
        for number in os.read(heard, 64):
            if number in SIGNALS and not (_REQUESTS.deferring and _is_first(number)):
                _end(number)


def _end(number: int) -> None:
    name = signal.Signals(number).name
    how = f"stopped by {name}"
    if _REQUESTS.deferring:
        how = f"stopped at once by a second signal, {name}: unsaved work is lost"
    _leave(f"{how}; {_REQUESTS.advice}", STOPPED)


def _outlived() -> None:
    with suppress(OSError):
        while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 64):
            pass
    _leave("stopped: its supervisor, fgspec launch, is gone; repeat the command to resume", LOST)


def _leave(line: str, code: int) -> None:
    # The main thread may hold Python's locks of its streams, and may be in C for minutes.
    for do in reversed(_REQUESTS.last):
        with suppress(Exception):  # whatever it is, the process ends
            do()
    with suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))
    os._exit(code)


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    for number in _heeded():
        signal.signal(number, signal.SIG_DFL)
    _REQUESTS.ends = False
