"""The folders in which data files are looked for."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fgspec.errors import DataError

DATA_VARIABLE = "FGSPEC_DATA"
_LONGEST = 200
"""Characters of a path that are shown; of a longer path, only its two ends."""


def shown(path: str | Path) -> str:
    """A path for an error message, shortened if it is very long."""
    text, half = str(path), _LONGEST // 2
    if len(text) <= _LONGEST:
        return text
    return f"{text[:half]}...{text[-half:]} ({len(text)} characters)"


def _expanded(path: str, field: str) -> Path:
    """A path with `~` replaced by the home folder.

    Raises:
        DataError: there is no such home folder.
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
    """The folders for relative paths: the current directory, then $FGSPEC_DATA."""
    return (Path.cwd(), *_data_folder())


def candidates(path: str, search: Sequence[Path] | None = None) -> tuple[Path, ...]:
    """All places that a path in a spec may mean, in the order in which they are tried.

    Args:
        path: an absolute or relative path, or one that starts with `~`.
        search: the folders for a relative path; None means `default_search()`.

    Raises:
        DataError: the path starts with `~` and there is no such home folder.
    """
    expanded = _expanded(path, "data.source.path")
    if expanded.is_absolute():
        return (expanded,)
    return tuple(folder / expanded for folder in (default_search() if search is None else search))


def is_file(place: Path) -> bool:
    """Whether there is a file. False for impossible names, such as one that is too long."""
    return os.path.isfile(place)


def is_dir(place: Path) -> bool:
    """Whether there is a folder; see `is_file`."""
    return os.path.isdir(place)


def usual_folders(name: str) -> tuple[Path, ...]:
    """The folders in which a published data set is looked for if the spec names no path."""
    try:
        cache = (Path.home() / ".cache" / "fgspec",)
    except RuntimeError:  # in containers, users may have no home folder
        cache = ()
    return tuple(folder / name for folder in (*_data_folder(), *cache))


def published_places(
    path: str | None, name: str, search: Sequence[Path] | None = None
) -> tuple[Path, ...]:
    """The places in which the files of a published data set are looked for.

    Args:
        path: the path in the spec; None means the usual folders.
        name: the name of the data set's folder within the usual folders.
        search: the folders for a relative path; None means `default_search()`.

    Raises:
        DataError: the path starts with `~` and there is no such home folder.
    """
    return usual_folders(name) if path is None else candidates(path, search)


def first_holding(
    path: str | None, places: Sequence[Path], made: Sequence[str], holds: Callable[[Path], bool]
) -> Path | None:
    """The first folder that holds the files of a published data set; None if there is none.

    Args:
        path: the path in the spec; None means the usual folders.
        places: the places from `published_places`.
        made: folders that archives and other tools create, such as `MNIST/raw`. They are looked for
            in every place, and in $FGSPEC_DATA itself if the spec names no path.
        holds: returns whether a folder holds the files.
    """
    tried = [folder for place in places for folder in (place, *(place / name for name in made))]
    if path is None:
        tried += [folder / name for folder in _data_folder() for name in made]
    return next((place for place in tried if holds(place)), None)


def folder_at(path: str, search: Sequence[Path] | None) -> Path:
    """The folder that a path in a spec means; see `candidates`.

    Raises:
        DataError: there is no such folder.
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
    """The places, as part of an error message."""
    nowhere = f"no folder, because there is no home folder and ${DATA_VARIABLE} is not set"
    return ", ".join(map(shown, places)) or nowhere
