"""Image files in a folder for each class, listed but not read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, spread
from fgspec.data.image_files import ENDINGS, FROM_FILES, ImageFiles, imaging
from fgspec.data.moments import moments
from fgspec.data.places import candidates, listed
from fgspec.errors import DataError
from fgspec.problems.problems import closest
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search

_KINDS = ", ".join(ENDINGS)
_MEASURED = 1024
"""Images that mean and deviation are measured on."""


class ImageFolder(sources.ImageFolder):
    """The section with how its folders are listed."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, size, size, 3] uint8, decoded when they are asked for.

        Raises:
            DataError: a folder is missing, or classes are not as they should be.
            UserError: Pillow is not installed.
        """
        places = candidates(self.path, search)
        root = next((place for place in places if place.is_dir()), None)
        if root is None:
            raise DataError(
                f"data.source.path: {self.path} was not found; looked for {listed(places)}; "
                "correct the path"
            )
        return listed_images(root, self.train, self.test, self.size)

    def describe(self, search: Search = None) -> DatasetInfo:
        """What is listed; mean and deviation are given, or measured on up to 1,024 images."""
        dataset = self.read(search)
        mean, std = self.mean, self.std
        if mean is None or std is None:
            mean, std = moments(spread(dataset.train_images, _MEASURED))
        return DatasetInfo(
            name=Path(self.path).name,
            image_shape=(self.size, self.size, 3),
            classes=int(dataset.train_labels.max()) + 1,
            train_examples=len(dataset.train_labels),
            test_examples=len(dataset.test_labels),
            mean=mean,
            std=std,
        )

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Three classes of four and two PNG files."""
        write_example(folder, {"train": 4, "val": 2}, 3)
        return cls(path=str(folder), size=8)


def listed_images(root: Path, train: str, test: str, size: int) -> Dataset:
    """The images of ROOT/TRAIN/CLASS/ and ROOT/TEST/CLASS/; classes are those of TRAIN, sorted.

    Raises:
        DataError, UserError: as `ImageFolder.read`.
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


def write_example(folder: Path, images: Mapping[str, int], classes: int) -> None:
    """Write PNG files of noise, so many for each class of each part, for tests.

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
