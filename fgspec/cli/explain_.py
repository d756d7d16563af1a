"""`fgspec explain`."""

import shutil
from pathlib import Path

from fgspec.cli.arguments import ArgumentError
from fgspec.reference.find import found
from fgspec.reference.terminal import explained

_WIDEST = 100
"""Letters in a line that are still easy to read."""


def run(what: str) -> None:
    """What `fgspec explain` does."""
    if _is_file(what):
        raise ArgumentError(
            f"explain: needs a field, a value or a rule, such as optimizer.learning_rate (got "
            f"{what}); fgspec plan {what} tells what a spec computes"
        )
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    print(explained(found(what), width))


def _is_file(what: str) -> bool:
    """Whether a file is meant, not a part of the language."""
    return what.endswith((".yaml", ".yml")) or Path(what).is_file()
