"""Image files in a folder for each class, listed but not read."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset
from fgspec.data.image_files import ENDINGS, FROM_FILES, ImageFiles
from fgspec.data.places import candidates, listed
from fgspec.diagnostics import closest
from fgspec.errors import DataError
from fgspec.spec.data import ImageFolder

_KINDS = ", ".join(ENDINGS)


def read_image_folder(source: ImageFolder, search: Sequence[Path] | None = None) -> Dataset:
    """Lists the images, [N, size, size, 3] uint8; they are decoded when they are asked for.

    Args:
        source: names the folders and the size.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: a folder is missing, or classes are not as they should be.
        UserError: Pillow is not installed.
    """
    places = candidates(source.path, search)
    root = next((place for place in places if place.is_dir()), None)
    if root is None:
        raise DataError(
            f"data.source.path: {source.path} was not found; looked for {listed(places)}; correct "
            "the path"
        )
    return listed_images(root, source.train, source.test, source.size)


def listed_images(root: Path, train: str, test: str, size: int) -> Dataset:
    """The images of ROOT/TRAIN/CLASS/ and ROOT/TEST/CLASS/; classes are those of TRAIN, sorted.

    Raises:
        DataError, UserError: as `read_image_folder`.
    """
    known, tested = _classes(root, "train", train), _classes(root, "test", test)
    unknown = next((name for name in tested if name not in known), None)
    if unknown is not None:
        close = closest(unknown, known)
        raise DataError(
            f"data.source.test: {root / test} has the class {unknown}, which {root / train} lacks"
            + (f"; did you mean {close}?" if close else "; remove it, or add it there")
        )
    train_images, train_labels = _part(root, train, known, size)
    test_images, test_labels = _part(root, test, {name: known[name] for name in tested}, size)
    counts = np.bincount(train_labels, minlength=len(known))
    if not counts.all():
        empty = root / train / list(known)[int(counts.argmin())]
        raise DataError(f"data.source.train: {empty} holds no {_KINDS} file; add some or remove it")
    if not len(test_images):
        raise DataError(f"data.source.test: the folders of {root / test} hold no {_KINDS} file")
    return Dataset(train_images, train_labels, test_images, test_labels, FROM_FILES)


def _classes(root: Path, field: str, name: str) -> dict[str, int]:
    """The labels of the folders in ROOT/NAME; there are at least two, but for a test."""
    folder = root / name
    if not folder.is_dir():
        there = ", ".join(_folders(root)) or "none"
        raise DataError(
            f"data.source.{field}: {root} holds no folder {name}; the folders there: {there}"
        )
    found, least = _folders(folder), 2 if field == "train" else 1
    if len(found) < least:
        raise DataError(
            f"data.source.{field}: {folder} holds {len(found)} folders of classes, expected at "
            f"least {least}; put the images of each class into a folder of its name"
        )
    return {name: label for label, name in enumerate(found)}


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder and not hidden, in no order."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"data.source: {folder} cannot be listed: {error.strerror}; make it readable"
        ) from error


def _part(
    root: Path, part: str, classes: Mapping[str, int], size: int
) -> tuple[ImageFiles, NDArray[np.int32]]:
    """The images of the classes, in the order of their names, and their labels."""
    names, sizes, labels = [], [], []
    for folder, label in classes.items():
        entries = _entries(root / part / folder)
        images = (e for e in entries if e.name.lower().endswith(ENDINGS) and e.is_file())
        found = sorted((entry.name, entry.stat().st_size) for entry in images)
        names += [f"{part}/{folder}/{name}" for name, _ in found]
        sizes += [size for _, size in found]
        labels += [label] * len(found)
    made = ImageFiles(root, tuple(names), np.array(sizes, np.int64), size)
    return made, np.array(labels, np.int32)
