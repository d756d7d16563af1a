"""How much is unpacked or read into memory, whoever wrote the file."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_ALWAYS = 64 * 2**20
# Both versions of control groups; a process that takes more is killed, and cannot say why.
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def most_unpacked(packed: int, fold: int = 20) -> int:
    """Bytes that so many compressed bytes may become; small files may become more.

    Deflate makes up to 1,032 bytes of one, from zeros.

    Args:
        packed: compressed bytes.
        fold: what one may become. MNIST has 4.7, photographs have 1.1.
    """
    return _ALWAYS + fold * packed


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        ...


class Bounded:
    """A stream of unpacked bytes that ends in an error instead of filling the memory.

    Args:
        stream: what unpacks them.
        most: bytes that may come.
        why: there are no more, as the error says.
    """

    def __init__(self, stream: _Readable, most: int, why: str) -> None:
        self._stream = stream
        self._most = most
        self._why = why
        self._left = most

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer only at the end.

        Raises:
            ValueError: there are more than the stream may have.
        """
        content = self._stream.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes, {self._why}")
        return content


def refuse_beyond_memory(size: int) -> None:
    """Tell that so many bytes are more than this process can have, before taking any.

    Raises:
        ValueError: they are.
    """
    memory = _memory()
    if memory is not None and size > memory:
        gib = 2**30
        raise ValueError(
            f"it needs {size / gib:,.1f} GiB of memory, of {memory / gib:,.1f} GiB that there are"
        )


def _memory() -> int | None:
    """Bytes of this machine, or of the group of processes it is shared with; None if unknown."""
    found: list[int] = []
    with suppress(OSError, ValueError, AttributeError):  # no such names on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _GROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(Path(limit).read_text()))
    return min(found, default=None)
