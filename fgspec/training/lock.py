"""One writer a run: a lock of the operating system on a file in its folder, and who holds it."""

import errno
import json
import os
import shlex
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import lock_descriptor

from fgspec.errors import ResumeError, UserError
from fgspec.processes.join import from_first, rank
from fgspec.processes.stopping import at_last
from fgspec.training.run_folder import LOCK, begun

_STARTED = datetime.now(UTC).isoformat(timespec="seconds")
"""When this process started: it imports this module among the first."""

_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}
"""What file systems without locks answer: some NFS, FUSE and Lustre mounts."""

_PATIENCE = 2.0
"""Seconds in which processes that lost their supervisor, or were just killed, are gone for sure."""


@dataclass(frozen=True)
class Holder:
    """The process that a lock file names.

    Attributes:
        host: the name of its host.
        pid: its number there.
        started: when, in UTC.
    """

    host: str
    pid: int
    started: str

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this host."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        """As a refusal names it."""
        where = "this host" if self.here else f"host {self.host}"
        return f"process {self.pid} on {where}, started {self.started}"


class Writer:
    """The right to write a run's folder, which one command has at a time, until the block's end.

    Every process that trains holds a file of its own: process 0 may begin only when no process
    holds any of them. The system gives up a lock when the process ends, however it ends.

    Args:
        say: called with a line of warning.
        breaking: whether to take the lock away from a process on another host.
    """

    def __init__(self, say: Callable[[str], None], *, breaking: bool = False) -> None:
        self._say = say
        self._breaking = breaking
        self._held: tuple[Path, int] | None = None
        self._made: Path | None = None
        self._block = ExitStack()

    def take(self, folder: Path) -> None:
        """Become the writer of a run, which makes its folder; every process must call this alike.

        Raises:
            ResumeError: another process has it.
            UserError: the folder cannot be created or written.
        """
        if self._held is not None:
            return

        def first() -> str:
            self._make(folder)
            self._hold(folder, folder / LOCK)
            for path in _locks_of_others(folder):
                with Writer(self._say, breaking=self._breaking) as left_over:
                    left_over._hold(folder, path)
            return "held"

        from_first(first)
        if rank():
            self._hold(folder, folder / f"{LOCK}.{rank()}")

    def check(self) -> None:
        """Raise unless this process is still the writer.

        Raises:
            ResumeError: someone removed or broke its lock.
            OSError: someone took the folder away.
        """
        if self._held is not None and not _is_at(*self._held):
            folder = self._held[0].parent
            folder.stat()  # where it was taken away, that is the reason
            raise ResumeError(
                f"{folder}: its lock was broken or removed; this process stops writing, because "
                "another one may have taken over"
            )

    def _make(self, folder: Path) -> None:
        missing = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"{folder}: cannot be created ({reason}); choose another folder"
            ) from None
        self._made = folder if missing else None

    def _hold(self, folder: Path, path: Path) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            descriptor = _opened(path)
            former = _holder(descriptor)
            try:
                taken = lock_descriptor(descriptor, blocking=False)
            except OSError as error:
                os.close(descriptor)
                if error.errno not in _NO_LOCKS:
                    raise
                self._say(
                    f"note: {folder}: this file system has no locks; make sure that no other "
                    "process trains this run"
                )
                return
            elsewhere = former is not None and not former.here
            if elsewhere and self._breaking:
                if _is_at(path, descriptor):  # not that of someone who broke it a moment ago
                    path.unlink()
                os.close(descriptor)
            elif taken and not _is_at(path, descriptor):  # its former holder just removed it
                os.close(descriptor)
            elif taken and not elsewhere:
                self._held = (path, descriptor)
                self._block.enter_context(at_last(self._release))
                _write(path, descriptor, Holder(socket.gethostname(), os.getpid(), _STARTED))
                return
            else:
                os.close(descriptor)
                if elsewhere or time.monotonic() > until:
                    raise _refusal(folder, former)
                time.sleep(_PATIENCE / 40)

    def __enter__(self) -> Self:
        """Itself; nothing is held yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives up the lock, and removes its file and a folder that it made for nothing."""
        self._block.close()

    def _release(self) -> None:
        if self._held is None:
            return
        path, descriptor = self._held
        self._held = None
        with suppress(OSError):
            # A record that stayed would have the run refused on every other host.
            if _is_at(path, descriptor):
                path.unlink()
        os.close(descriptor)
        if self._made is not None:
            with suppress(OSError):  # it is not empty: the run has begun
                self._made.rmdir()


def _locks_of_others(folder: Path) -> list[Path]:
    """The lock files that processes beside the first held; of a run that was killed, or lives."""
    return sorted(path for path in folder.iterdir() if path.name.startswith(f"{LOCK}."))


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path.parent}: cannot be written ({reason}); choose another folder"
        ) from None


def _holder(descriptor: int) -> Holder | None:
    """Who wrote the file, if it can be read: it may be written just now."""
    try:
        record = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(str(record["host"]), int(record["pid"]), str(record["started"]))
    except (ValueError, KeyError, TypeError):
        return None


def _write(path: Path, descriptor: int, holder: Holder) -> None:
    text = json.dumps(asdict(holder)).encode()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    except OSError as error:  # which names no file of its own
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still names the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _refusal(folder: Path, holder: Holder | None) -> ResumeError:
    if holder is None or holder.here:
        who = holder or "another process"
        end = f", or stop it with: kill {holder.pid}" if holder else ""
        return ResumeError(f"{folder}: is being trained by {who}; wait for it{end}")
    breaks = "--break-lock added to the same command"
    if begun(folder):
        breaks = f"fgspec train --resume {shlex.quote(str(folder))} --break-lock"
    return ResumeError(
        f"{folder}: is locked by {holder}, which may have ended with its host; if it has, break "
        f"the lock with: {breaks}"
    )
