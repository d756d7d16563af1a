"""`fgspec explain`."""

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from fgspec.cli.arguments import ArgumentError
from fgspec.reference.find import found
from fgspec.reference.terminal import explained

_WIDEST = 100
"""Letters in a line that are still easy to read."""


def run(
    what: str,
    overrides: Sequence[str] | None,
    latex: Path | None,
    markdown: Path | None,
    picture: Path | None,
) -> None:
    """What `fgspec explain` does."""
    if _is_file(what):
        # Imported here because a spec needs JAX, while a field is explained at once.
        of_spec = importlib.import_module("fgspec.cli.explain_spec")
        of_spec.show(Path(what), overrides or (), latex, markdown, picture)
        return
    options = {"--set": overrides, "--latex": latex, "--markdown": markdown, "--picture": picture}
    for option, value in options.items():
        if value:
            raise ArgumentError(f"explain: {option} needs a spec, not a field (got {what})")
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    print(explained(found(what), width))


def _is_file(what: str) -> bool:
    """Whether a file is meant, not a part of the language."""
    return what.endswith((".yaml", ".yml")) or Path(what).is_file()
