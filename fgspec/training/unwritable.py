"""A disk that is full, and a run's folder that vanished or may not be written: told in a line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fgspec.errors import RunError
from fgspec.training.run_folder import RunDir, begun

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a user's quota, and the largest file that a process may write."""


@contextmanager
def unwritable(run: RunDir, going_on: str) -> Iterator[None]:
    """Train what stands inside, or say what could not be written and what of the run is safe.

    Args:
        run: the run that is trained.
        going_on: how it is resumed.

    Raises:
        RunError: the operating system refused to write or read a file.
    """
    try:
        yield
    except OSError as error:
        # No summary says that the run failed: once the disk is mended it goes on.
        raise RunError(_line(run, error, going_on)) from error


def _line(run: RunDir, error: OSError, going_on: str) -> str:
    place = Path(str(error.filename)) if error.filename else run.path
    # Files are written under other names first, which no user knows.
    if run.checkpoints.absolute() in place.absolute().parents:
        place = run.checkpoints
    elif place.name.startswith("."):
        place = place.parent
    reason = (error.strerror or str(error)).lower()
    # Orbax may have made the folder of its checkpoints, and so the run's, once more.
    if not run.resolved.is_file():
        taken = f"{run.path}: was removed while the run trained ({reason}: {place})"
        return f"{taken}; restore it and resume the run, or start a new run"
    try:
        step = run.last_step()
    except OSError:
        step = 0
    safe = f"the last checkpoint is at step {step}" if step else "there is no checkpoint yet"
    remedy = "make room" if error.errno in _FULL else "make it writable"
    if error.errno == errno.ENOENT:
        remedy = "restore it"
    again = going_on if begun(run.path) else "repeat the command to start again"
    return f"{place}: {reason}; the run stopped, {safe}; {remedy}, then {again}"
