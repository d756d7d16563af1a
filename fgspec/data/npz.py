"""A data set of one's own in a NumPy archive."""

import difflib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, Labels, Pixels, checked_labels
from fgspec.data.moments import moments
from fgspec.data.places import candidates, listed
from fgspec.errors import DataError
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search

_MAX_CLASSES = 2**31 - 1
# RuntimeError: zipfile's word for an encrypted member or an unknown compression.
_UNREADABLE = (OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Npz(sources.Npz):
    """The section with how its archive is read."""

    def read(self, search: Search = None) -> Dataset:
        """The four arrays; labels are 0 to the greatest training label.

        Raises:
            DataError: the archive or an array is missing, or not what `Npz` says it must be.
        """
        file = _located(self.path, search)
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {
                    field: _array(archive, file, field, getattr(self, field))
                    for field in ("train_images", "train_labels", "test_images", "test_labels")
                }
        except _UNREADABLE as error:
            raise DataError(
                f"data.source.path: {file} cannot be read: {error}; write it again with numpy.savez"
            ) from error
        labels = _labels(file, "train_labels", arrays["train_labels"], _MAX_CLASSES)
        if labels.max() < 1:
            raise _fault(file, "train_labels", "all labels are 0, expected at least two classes")
        dataset = Dataset(
            train_images=_images(file, "train_images", arrays["train_images"]),
            train_labels=labels,
            test_images=_images(file, "test_images", arrays["test_images"]),
            test_labels=_labels(file, "test_labels", arrays["test_labels"], int(labels.max()) + 1),
        )
        _check_agreement(file, dataset)
        return dataset

    def describe(self, search: Search = None) -> DatasetInfo:
        """What is read; mean and deviation are measured on all training images."""
        dataset = self.read(search)
        height, width, channels = dataset.train_images.shape[1:]
        mean, std = moments(np.asarray(dataset.train_images))
        return DatasetInfo(
            name=Path(self.path).stem,
            image_shape=(height, width, channels),
            classes=int(dataset.train_labels.max()) + 1,
            train_examples=len(dataset.train_labels),
            test_examples=len(dataset.test_labels),
            mean=mean,
            std=std,
            pixels="uint8" if dataset.train_images.dtype == np.uint8 else "float32",
        )

    @classmethod
    def example(cls, folder: Path) -> Self:
        """An archive of 24 and 6 float images of three classes."""
        random = np.random.default_rng(0)
        sizes, arrays = {"train": 24, "test": 6}, dict[str, NDArray[Any]]()
        for part, examples in sizes.items():
            arrays[f"{part}_images"] = random.random((examples, 6, 5, 2), np.float32)
            arrays[f"{part}_labels"] = np.arange(examples) % 3
        np.savez(folder / "example.npz", allow_pickle=False, **arrays)
        return cls(path=str(folder / "example.npz"))


def _located(path: str, search: Sequence[Path] | None) -> Path:
    places = candidates(path, search)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataError(
            f"data.source.path: {path} was not found; looked for {listed(places)}; write it with "
            "numpy.savez, or correct the path"
        )
    if not zipfile.is_zipfile(file):
        raise DataError(
            f"data.source.path: {file} is not an npz archive or is cut off; write it again with "
            "numpy.savez"
        )
    return file


def _fault(file: Path, field: str, reason: str) -> DataError:
    return DataError(f"data.source.{field}: in {file}, {reason}")


def _array(archive: NpzFile, file: Path, field: str, name: str) -> NDArray[Any]:
    if name not in archive.files:
        near = difflib.get_close_matches(name, archive.files, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(sorted(archive.files)) or "none"
        raise _fault(file, field, f"there is no array {name!r}; the arrays there: {known}{hint}")
    try:
        array = archive[name]
    except ValueError as error:
        # NumPy raises it for Python objects, which only a pickle could bring back, and for a
        # header that it cannot read.
        raise _fault(
            file, field, f"array {name!r} is not plain numbers ({error}); save uint8 or float32"
        ) from error
    if not isinstance(array, np.ndarray):
        raise _fault(file, field, f"{name!r} is a file that is no array; write it with numpy.savez")
    return array


def _images(file: Path, field: str, array: NDArray[Any]) -> Pixels:
    if array.dtype not in (np.uint8, np.float32):
        raise _fault(
            file, field, f"images are {array.dtype}, expected uint8, or float32 from 0 to 1"
        )
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise _fault(
            file,
            field,
            f"images have shape {array.shape}, expected [N, H, W] or [N, H, W, C], none of them 0",
        )
    if array.dtype == np.float32:
        lowest, highest = array.min(), array.max()
        if not (lowest >= 0 and highest <= 1):
            found = "NaN" if np.isnan(lowest) else f"values from {lowest:g} to {highest:g}"
            raise _fault(file, field, f"float images hold {found}, expected 0 to 1")
    return np.ascontiguousarray(array if array.ndim == 4 else array[..., np.newaxis])


def _labels(file: Path, field: str, array: NDArray[Any], classes: int) -> Labels:
    if not np.issubdtype(array.dtype, np.integer):
        raise _fault(file, field, f"labels are {array.dtype}, expected integers")
    if array.ndim != 1 or not array.size:
        raise _fault(file, field, f"labels have shape {array.shape}, expected [N], N at least 1")
    try:
        return checked_labels(array, classes)
    except ValueError as error:
        raise _fault(file, field, str(error)) from error


def _check_agreement(file: Path, dataset: Dataset) -> None:
    for part, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, dataset.test_labels),
    ):
        if len(images) != len(labels):
            raise _fault(
                file,
                f"{part}_labels",
                f"there are {len(labels)} labels for {len(images)} images, expected one an image",
            )
    train, test = dataset.train_images, dataset.test_images
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        raise _fault(
            file,
            "test_images",
            f"a test image is {test.dtype} {test.shape[1:]}, a training image {train.dtype} "
            f"{train.shape[1:]}, expected the same",
        )
