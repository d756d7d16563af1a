"""Where data files are looked for."""

import os
from collections.abc import Sequence
from pathlib import Path

DATA_VARIABLE = "FGSPEC_DATA"


def _data_folder() -> tuple[Path, ...]:
    named = os.environ.get(DATA_VARIABLE)
    return (Path(named).expanduser().absolute(),) if named else ()


def default_search() -> tuple[Path, ...]:
    """The folders in which a relative path is looked for: the current one, then $FGSPEC_DATA."""
    return (Path.cwd(), *_data_folder())


def candidates(path: str, search: Sequence[Path] | None = None) -> tuple[Path, ...]:
    """All places that a path of a spec may mean, in the order they are tried.

    Args:
        path: absolute, relative or starting with `~`.
        search: folders for a relative path; None means `default_search()`.
    """
    expanded = Path(path).expanduser()
    if expanded.is_absolute():
        return (expanded,)
    return tuple(folder / expanded for folder in (default_search() if search is None else search))


def usual_folders(name: str) -> tuple[Path, ...]:
    """The folders that hold a published data set when the spec names none."""
    cache = Path("~/.cache/fgspec").expanduser()
    return tuple(folder / name for folder in (*_data_folder(), cache))


def listed(places: Sequence[Path]) -> str:
    """The places as one line of an error."""
    return ", ".join(map(str, places))
