"""`fgspec explain`."""

import shutil

from fgspec.reference.find import found
from fgspec.reference.terminal import explained


def run(what: str) -> None:
    """What `fgspec explain` does."""
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    print(explained(found(what), width))


_WIDEST = 100
"""Letters in a line that are still easy to read."""
