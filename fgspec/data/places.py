"""Where data files are looked for."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fgspec.errors import DataError

DATA_VARIABLE = "FGSPEC_DATA"
_LONGEST = 200
"""Letters of a path that are shown; what is wrong with one of thousands is seen in its ends."""


def shown(path: str | Path) -> str:
    """A path as an error shows it, shortened if it is very long."""
    text, half = str(path), _LONGEST // 2
    if len(text) <= _LONGEST:
        return text
    return f"{text[:half]}...{text[-half:]} ({len(text)} letters)"


def _expanded(path: str, field: str) -> Path:
    """With the home folder that `~` stands for.

    Raises:
        DataError: there is none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        name = shown(path.split("/")[0])
        raise DataError(
            f"{field}: {shown(path)} starts with {name}, a home folder that this machine does not "
            "know; write the whole path"
        ) from error


def _data_folder() -> tuple[Path, ...]:
    named = os.environ.get(DATA_VARIABLE)
    return (_expanded(named, f"${DATA_VARIABLE}").absolute(),) if named else ()


def default_search() -> tuple[Path, ...]:
    """The folders in which a relative path is looked for: the current one, then $FGSPEC_DATA."""
    return (Path.cwd(), *_data_folder())


def candidates(path: str, search: Sequence[Path] | None = None) -> tuple[Path, ...]:
    """All places that a path of a spec may mean, in the order they are tried.

    Args:
        path: absolute, relative or starting with `~`.
        search: folders for a relative path; None means `default_search()`.

    Raises:
        DataError: it starts with `~` and there is no such home folder.
    """
    expanded = _expanded(path, "data.source.path")
    if expanded.is_absolute():
        return (expanded,)
    return tuple(folder / expanded for folder in (default_search() if search is None else search))


def is_file(place: Path) -> bool:
    """Whether there is a file; a name that no file can have, such as one too long, is none's."""
    return os.path.isfile(place)


def is_dir(place: Path) -> bool:
    """Whether there is a folder; see `is_file`."""
    return os.path.isdir(place)


def usual_folders(name: str) -> tuple[Path, ...]:
    """The folders that hold a published data set when the spec names none."""
    try:
        cache = (Path.home() / ".cache" / "fgspec",)
    except RuntimeError:  # a container's user without a home folder, whose data are elsewhere
        cache = ()
    return tuple(folder / name for folder in (*_data_folder(), *cache))


def published_places(
    path: str | None, name: str, search: Sequence[Path] | None = None
) -> tuple[Path, ...]:
    """Where the files of a published data set are looked for.

    Args:
        path: that the spec names; None for the usual folders.
        name: of the set's folder among those.
        search: folders for a relative path; None means `default_search()`.

    Raises:
        DataError: the path starts with `~` and there is no such home folder.
    """
    return usual_folders(name) if path is None else candidates(path, search)


def first_holding(
    path: str | None, places: Sequence[Path], made: Sequence[str], holds: Callable[[Path], bool]
) -> Path | None:
    """The first folder that holds the files of a published data set; None if there is none.

    Args:
        path: that the spec names; None for the usual folders.
        places: from `published_places`.
        made: folders that archives and other tools make, such as `MNIST/raw`; looked for in every
            place, and in $FGSPEC_DATA itself where the spec names no path.
        holds: whether a folder holds the files.
    """
    tried = [found for place in places for found in (place, *(place / name for name in made))]
    if path is None:
        tried += [folder / name for folder in _data_folder() for name in made]
    return next((place for place in tried if holds(place)), None)


def folder_at(path: str, search: Sequence[Path] | None) -> Path:
    """The folder that a path of a spec means; see `candidates`.

    Raises:
        DataError: there is none.
    """
    places = candidates(path, search)
    for place in places:
        if is_dir(place):
            return place
    raise DataError(
        f"data.source.path: {shown(path)} was not found; looked for {listed(places)}; "
        "correct the path"
    )


def listed(places: Sequence[Path]) -> str:
    """The places as one line of an error."""
    return ", ".join(map(shown, places)) or f"no place: no home folder, no ${DATA_VARIABLE}"
