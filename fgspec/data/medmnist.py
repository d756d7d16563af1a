"""Sets of MedMNIST from their published .npz files."""

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured
from fgspec.data.npz_members import arrays_of
from fgspec.data.places import is_file, published_places
from fgspec.data.published import Publication, check_counts, check_md5, damage_reported, missing
from fgspec.data.unpacking import refuse_beyond_memory
from fgspec.errors import DataError
from fgspec.spec import medmnist
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.medmnist import SETS, SIZES, MedSet
from fgspec.spec.sources import Search

PUBLICATION = Publication(
    medmnist.MedMnist.title, ("https://zenodo.org/records/10519652",), "medmnist"
)


class MedMnist(medmnist.MedMnist):
    """The fields of this source, and how its file is read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, size, size, 1 or 3] uint8.

        Raises:
            DataError: the file is missing, damaged or not the published one.
        """
        places = published_places(self.path, PUBLICATION.source, search)
        name, known = file_name(self.name, self.size), SETS[self.name]
        tried = [found for place in places for found in (place / name, place)]
        if self.path is None:
            with suppress(RuntimeError):  # a user without a home folder
                tried.append(Path.home() / ".medmnist" / name)
        file, md5 = next(filter(is_file, tried), None), known.md5[self.size]
        if file is None:
            raise missing(PUBLICATION, name, places, md5)
        with damage_reported(PUBLICATION, file, md5):
            refuse_beyond_memory(file.stat().st_size)
            content = file.read_bytes()
        if self.verify:
            _refuse_sibling(file, content, self.name, self.size)
            check_md5(PUBLICATION, file, content, md5)
        parts = ["train", *(["val"] if self.with_val else []), "test"]
        with damage_reported(PUBLICATION, file, md5):
            names = [f"{part}_{kind}" for part in parts for kind in ("images", "labels")]
            arrays = dict(zip(names, arrays_of(io.BytesIO(content), *names), strict=True))
            read = {part: _part(arrays, part, known, self.size) for part in parts}
        test_images, test_labels = read.pop("test")
        images, labels = (np.concatenate(one) for one in zip(*read.values(), strict=True))
        dataset = Dataset(images, labels, test_images, test_labels, names=known.labels)
        if self.verify:
            check_counts(PUBLICATION, file, dataset, self._described(known))
        return dataset

    def _described(self, known: MedSet) -> DatasetInfo:
        train, val, test = known.examples
        shape, moments = (self.size, self.size, known.channels), (0.0,) * known.channels
        examples = train + val * self.with_val
        return DatasetInfo(self.name, shape, len(known.labels), examples, test, moments, moments)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(self.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the names of its files."""
        names = {file_name(name, size) for name in SETS for size in SIZES}
        return place.name in names or any(is_file(place / name) for name in names)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write a stand-in for the file, with 24 training, 8 validation and 8 test images."""
        random, known = np.random.default_rng(0), SETS["bloodmnist"]
        arrays: dict[str, NDArray[np.uint8]] = {}
        for part, examples in (("train", 24), ("val", 8), ("test", 8)):
            shape = (examples, 28, 28, known.channels)
            arrays[f"{part}_images"] = random.integers(0, 256, shape, np.uint8)
            labels = np.arange(examples, dtype=np.uint8) % len(known.labels)
            arrays[f"{part}_labels"] = labels[:, np.newaxis]
        np.savez_compressed(folder / file_name("bloodmnist", 28), allow_pickle=False, **arrays)
        return cls(name="bloodmnist", path=str(folder), verify=False)


def file_name(name: str, size: int) -> str:
    """The published file name of a set."""
    return f"{name}.npz" if size == SIZES[0] else f"{name}_{size}.npz"


def _refuse_sibling(file: Path, content: bytes, name: str, size: int) -> None:
    """Raise a DataError if the file belongs to another set of MedMNIST."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for other, known in SETS.items():
        for side, md5 in known.md5.items():
            if md5 == found and (other, side) != (name, size):
                raise DataError(
                    f"data.source: {file} holds {other} in {side}x{side} pixels, expected {name} "
                    f"in {size}x{size}; set data.source.name: {other} and data.source.size: {side}"
                )


def _part(
    arrays: dict[str, NDArray[np.generic]], part: str, known: MedSet, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The images [N, size, size, channels] and labels [N] of a part.

    Raises:
        ValueError: an array has another dtype or shape.
    """
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    # Grey images have no channel axis.
    shape = (size, size, known.channels) if known.channels > 1 else (size, size)
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise ValueError(
            f"its {part}_images are {images.dtype} {list(images.shape)}, expected uint8 "
            f"[N, {', '.join(map(str, shape))}]"
        )
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images), 1), (len(images),)):
        raise ValueError(
            f"its {part}_labels are {labels.dtype} {list(labels.shape)}, expected integers "
            f"[{len(images)}, 1]"
        )
    made = images.reshape(-1, size, size, known.channels).astype(np.uint8, copy=False)
    return made, checked_labels(labels.reshape(-1), len(known.labels))
