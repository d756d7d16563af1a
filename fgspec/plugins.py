"""What installed packages add to the tables of fgspec, by their entry points."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from fgspec.errors import UserError

GUESSES = "fgspec.guesses"
"""Group of entry points that name a `compiler.noise.Guess`."""


def names(group: str) -> tuple[str, ...]:
    """What is installed in a group; nothing is imported."""
    return tuple(sorted(point.name for point in entry_points(group=group)))


def load(group: str, name: str) -> Any:
    """What an entry point names.

    Raises:
        UserError: it cannot be imported.
    """
    (point, *_) = entry_points(group=group, name=name)
    try:
        return point.load()
    except Exception as error:  # whatever a module of others raises when it is imported
        raise UserError(_unloaded(point, error)) from error


def _unloaded(point: EntryPoint, error: Exception) -> str:
    owner = point.dist.name if point.dist is not None else point.value
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{owner}: its guess {point.name} cannot be imported: {reason}; mend or uninstall it"
