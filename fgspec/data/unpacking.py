"""Limits on what is unpacked or read into memory, so that no file can exhaust it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

TOO_MANY = "too many for images in a file of this size"
"""Why a stream may not unpack to more, as the error of `Bounded` says."""

_ALWAYS = 64 * 2**20
"""Bytes that any file may unpack to."""

# Of both versions of Linux control groups. A process that takes more memory than its group may have
# is killed, and cannot report why.
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def most_unpacked(packed: int, fold: int = 20) -> int:
    """How many bytes a compressed file may unpack to, at most; small files may grow by more.

    Deflate, the method of gzip and zip, can unpack one byte to 1,032 zeros.

    Args:
        packed: the number of compressed bytes.
        fold: how many bytes each of them may become. MNIST has 4.7, photographs have 1.1.
    """
    return _ALWAYS + fold * packed


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        ...


class Bounded:
    """A stream of unpacked bytes that raises an error instead of filling the memory.

    Args:
        stream: the stream that unpacks them.
        most: how many bytes may come, at most.
        why: what is wrong with more bytes; the error ends with it.
    """

    def __init__(self, stream: _Readable, most: int, why: str) -> None:
        self._stream = stream
        self._most = most
        self._why = why
        self._left = most

    def read(self, size: int, /) -> bytes:
        """The next bytes; fewer than `size` only at the end.

        Raises:
            ValueError: there are more bytes than allowed.
        """
        content = self._stream.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes, {self._why}")
        return content


def refuse_beyond_memory(size: int) -> None:
    """Refuse to take more memory than this process can have, before any is taken.

    Args:
        size: the bytes that are about to be taken.

    Raises:
        ValueError: the machine or the process's group has less memory.
    """
    memory = _memory()
    if memory is not None and size > memory:
        gib = 2**30
        raise ValueError(
            f"it needs {size / gib:,.1f} GiB of memory, but only {memory / gib:,.1f} GiB exist"
        )


def _memory() -> int | None:
    """Bytes of memory of this machine, or that the process's group may have; None if unknown."""
    limits: list[int] = []
    with suppress(OSError, ValueError, AttributeError):  # Windows has no such names
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in _GROUP_LIMITS:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limits.append(int(Path(file).read_text()))
    return min(limits, default=None)
