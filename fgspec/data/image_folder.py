"""Lists image files in one folder per class; the images are read later."""

import logging
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset
from fgspec.data.image_files import ENDINGS, FROM_FILES, ImageFiles, imaging
from fgspec.data.moments import measured
from fgspec.data.places import folder_at
from fgspec.data.published import other_set
from fgspec.errors import DataError
from fgspec.problems.problems import closest
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search

_KINDS = ", ".join(ENDINGS)
_ENLARGED = 2
"""The factor from which on a note says that images are enlarged."""


class ImageFolder(sources.ImageFolder):
    """The fields of this source, and how its folders are listed."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, size, size, 3] uint8, decoded when a batch needs them.

        Raises:
            DataError: a folder is missing, or the class folders do not fit.
            UserError: Pillow is not installed.
        """
        root = folder_at(self.path, search)
        try:
            return listed_images(root, self.train, self.test, self.size)
        except DataError as error:
            if other := other_set(str(self), [root]):
                raise DataError(f"{error}; {other.removesuffix('; ')}") from error
            raise

    def describe(self, search: Search = None) -> DatasetInfo:
        """Describe what was listed; mean and deviation are given, or measured on 1,024 images."""
        dataset = self.read(search)
        _tell_of_enlarging(dataset.train_images, self.size)
        return measured(Path(self.path).name, dataset, self.given_moments())

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write three classes, each with four training and two test images, as PNG."""
        write_example(folder, {"train": 4, "val": 2}, 3)
        return cls(path=str(folder), size=8)


def listed_images(root: Path, train: str, test: str, size: int) -> Dataset:
    """The images of ROOT/TRAIN/CLASS/ and ROOT/TEST/CLASS/; classes are TRAIN's folders, sorted.

    Raises:
        DataError, UserError: as `ImageFolder.read`.
    """
    known, tested = _classes(root, "train", train), _classes(root, "test", test)
    unknown = next((name for name in tested if name not in known), None)
    if unknown is not None:
        twin = next((name for name in known if _composed(name) == _composed(unknown)), None)
        if twin is not None:
            raise _twins("test", root / test, unknown, root / train, twin)
        close = closest(unknown, known)
        raise DataError(
            f"data.source.test: {root / test} has the class {unknown}, which {root / train} lacks"
            + (f"; did you mean {close}?" if close else "; remove the folder, or add it there")
        )
    train_images, train_labels = _part(root, train, known, size)
    test_images, test_labels = _part(root, test, {name: known[name] for name in tested}, size)
    counts = np.bincount(train_labels, minlength=len(known))
    if not counts.all():
        empty = root / train / list(known)[int(counts.argmin())]
        raise DataError(f"data.source.train: {empty} holds no {_KINDS} file; add some or remove it")
    if not len(test_images):
        raise DataError(f"data.source.test: the folders of {root / test} hold no {_KINDS} file")
    return Dataset(
        train_images, train_labels, test_images, test_labels, FROM_FILES, names=tuple(known)
    )


def _composed(name: str) -> str:
    """A name in Unicode's form NFC, in which names that look alike are equal.

    An accent may be part of a letter, or a character that follows it, as macOS writes it.
    """
    return unicodedata.normalize("NFC", name)


def _twins(field: str, folder: Path, name: str, other_folder: Path, other: str) -> DataError:
    return DataError(
        f"data.source.{field}: the class {name!a} of {folder} and {other!a} of "
        f"{other_folder} look alike but consist of different Unicode characters; give both the "
        "same name, or move their images into one folder"
    )


def _classes(root: Path, field: str, name: str) -> dict[str, int]:
    """The labels of the folders in ROOT/NAME: at least two for training, at least one for tests."""
    folder = root / name
    if not folder.is_dir():
        there = ", ".join(_folders(root)) or "none"
        raise DataError(
            f"data.source.{field}: {root} holds no folder {name}; the folders there: {there}"
        )
    classes, least = _folders(folder), 2 if field == "train" else 1
    if len(classes) < least:
        raise DataError(
            f"data.source.{field}: {folder} holds {len(classes)} class folders, expected at "
            f"least {least}; put the images of each class into a folder named after the class"
        )
    looks: dict[str, str] = {}
    for spelled in classes:
        twin = looks.setdefault(_composed(spelled), spelled)
        if twin != spelled:
            raise _twins(field, folder, spelled, folder, twin)
    return {name: label for label, name in enumerate(classes)}


def _folders(folder: Path) -> list[str]:
    with unlisted(folder):
        return sorted(entry.name for entry in entries(folder) if entry.is_dir())


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder that are not hidden, in no particular order."""
    with os.scandir(folder) as there:
        return [entry for entry in there if not entry.name.startswith(".")]


@contextmanager
def unlisted(folder: Path) -> Iterator[None]:
    """Turn errors of listing a folder into a DataError; for example, a link may lead to itself."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"data.source: {error.filename or folder} cannot be listed: {error.strerror}; make it "
            "readable, or remove it"
        ) from error


def _tell_of_enlarging(images: Any, size: int) -> None:
    stored = images.stored_side()
    if stored is not None and size >= _ENLARGED * stored:
        _say(
            f"note: data.source.size: images with sides of {stored} pixels are enlarged to {size} "
            f"pixels, so an update costs about {(size / stored) ** 2:.0f} times as much; use "
            f"data.source.size: {stored} to keep their size"
        )


@cache
def _say(line: str) -> None:
    """Log a line once per process, because every arm of a sweep describes its data."""
    logging.getLogger("fgspec").warning(line)


def _part(
    root: Path, part: str, classes: Mapping[str, int], size: int
) -> tuple[ImageFiles, NDArray[np.int32]]:
    """The images of the classes, in the order of their names, and their labels."""
    names, sizes, labels = [], [], []
    for folder, label in classes.items():
        with unlisted(root / part / folder):
            there = entries(root / part / folder)
            images = (e for e in there if e.name.lower().endswith(ENDINGS) and e.is_file())
            files = sorted((entry.name, entry.stat().st_size) for entry in images)
        names += [f"{part}/{folder}/{name}" for name, _ in files]
        sizes += [size for _, size in files]
        labels += [label] * len(files)
    made = ImageFiles(root, tuple(names), np.array(sizes, np.int64), size)
    return made, np.array(labels, np.int32)


def write_example(folder: Path, images: Mapping[str, int], classes: int) -> None:
    """Write PNG files of noise, for tests.

    Args:
        folder: the folder to write to.
        images: how many images each class has, by the name of the part.
        classes: how many classes there are.

    Raises:
        UserError: Pillow is not installed.
    """
    random = np.random.default_rng(0)
    for part, count in images.items():
        for label in range(classes):
            place = folder / part / f"class{label}"
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (11, 9, 3), dtype=np.uint8)
                imaging().fromarray(pixels).save(place / f"{number}.png")
