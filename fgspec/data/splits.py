"""Reads data sets that other libraries saved as splits of encoded images and labels."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset
from fgspec.data.encoded_images import EncodedImages, Records, shape_of
from fgspec.data.image_files import FROM_FILES
from fgspec.data.moments import measured
from fgspec.data.record_labels import checked, greatest_of
from fgspec.errors import DataError
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.saved_splits import SavedSplits
from fgspec.spec.sources import Search


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        where: the place of the split, for errors.
        records: its images.
        labels: the labels of its images, [N]; -1 if an image has none.
        names: the names of the classes; empty if they have none.
        classes: how many classes were declared; 0 if this is not known.
    """

    where: str
    records: Records
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    classes: int = 0


class SplitSource(SavedSplits):
    """A source with saved splits, and how they are read."""

    def splits(self, search: Search) -> tuple[Split, Split]:
        """The splits of the training images and of the test images; see `read`."""
        raise self.lacks("splits")

    def read(self, search: Search = None) -> Dataset:
        """Images [N, height, width, 1 or 3] uint8, decoded when a batch needs them.

        Raises:
            DataError: a split, a column or a file is missing, damaged or of the wrong type.
            UserError: a package that the source needs is not installed.
        """
        train, test = self.splits(search)
        names, classes = test.names or train.names, max(train.classes, test.classes)
        greatest = greatest_of(train.labels, names, classes)
        shape = shape_of(train.records, 0, self.size)
        parts: list[Any] = []
        for split, field in ((train, "train"), (test, "test")):
            rows, where = np.arange(len(split.labels)), f"data.source.{field}: {split.where}"
            parts.append(EncodedImages(split.records, rows, self.size, shape))
            parts.append(checked(split.labels, greatest, where, field == "train"))
        return Dataset(*parts, reading=FROM_FILES, names=names)

    def describe(self, search: Search = None) -> DatasetInfo:
        """Describe what was read; mean and deviation are measured on up to 1,024 images."""
        return measured(Path(self.path).name, self.read(search))


def mapping_in(file: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        DataError: it cannot be read, or is not a JSON object; the error ends with the remedy.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        return content
    except (OSError, ValueError) as error:
        raise DataError(f"data.source: {file} cannot be read: {error}; {remedy}") from error


def locating(counts: Iterable[int]) -> Callable[[int], tuple[int, int]]:
    """Make a function that returns the part that contains a row, and the row's index in it.

    Args:
        counts: how many rows each part has.
    """
    starts = [0, *accumulate(counts)]

    def place_of(row: int) -> tuple[int, int]:
        part = bisect_right(starts, row) - 1
        return part, row - starts[part]

    return place_of


def identity_of(files: Sequence[Path]) -> bytes:
    """The names and sizes of files, as bytes."""
    return json.dumps([[file.name, file.stat().st_size] for file in files]).encode()
