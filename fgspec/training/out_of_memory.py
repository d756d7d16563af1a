"""Memory that runs out is told in a line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fgspec.errors import RunError
from fgspec.xla_error import is_of_xla

_EXHAUSTED = re.compile(r"RESOURCE_EXHAUSTED: (?P<first>.*)|(?P<later>Out of memory.*)")
"""What XLA says at once, and when it comes back to a computation that it has dispatched."""


@contextmanager
def enough_memory(place: str) -> Iterator[None]:
    """Do what stands inside, or say that it takes more memory than there is.

    Args:
        place: the spec or run that the line begins with.

    Raises:
        RunError: NumPy or XLA could not allocate an array.
    """
    try:
        yield
    except MemoryError as error:
        raise _error(place, str(error)) from error
    except Exception as error:
        found = _EXHAUSTED.search(str(error)) if is_of_xla(error) else None
        if found is None:
            raise
        raise _error(place, found["first"] or found["later"]) from error


def _error(place: str, said: str) -> RunError:
    why = f" ({said.strip().rstrip('.')})" if said else ""
    return RunError(
        f"{place}: needs more memory than there is{why}; a smaller batch or network takes less"
    )
