"""STL-10 from its published binary archive, or the folder it unpacks to."""

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.archived import Archive, Opened, open_archive, recognized
from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured
from fgspec.data.published import Publication, check_counts, damage_reported
from fgspec.data.unpacking import refuse_beyond_memory
from fgspec.spec import stl10
from fgspec.spec.dataset_info import UNLABELLED, DatasetInfo
from fgspec.spec.sources import Search
from fgspec.spec.stl10 import STL10, UNLABELLED_EXAMPLES

PUBLICATION = Publication(stl10.Stl10.title, (stl10.Stl10.homepage,), "stl10")
_TRAIN, _TEST, _MORE = "train", "test", "unlabeled_X.bin"
# The digests are those of torchvision (torchvision/datasets/stl10.py).
BINARY = Archive(
    file="stl10_binary.tar.gz",
    file_md5="91f7769df0f17e558f3565bffb0c7dfb",
    folder="stl10_binary",
    files=("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", _MORE),
    md5={
        "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
        "train_y.bin": "5a34089d4802c674881badbb80307741",
        "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
        "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
        _MORE: "5242ba1fed5e4be9e1e742405eb56ca4",
    },
)
_SIDE = STL10.image_shape[0]
_PIXELS = 3 * _SIDE * _SIDE


class Stl10(stl10.Stl10):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 96, 96, 3] uint8; the labelled training images come first.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        wanted = [name for name in BINARY.files if self.with_unlabelled or name != _MORE]
        opened = open_archive(PUBLICATION, (BINARY,), self.path, search, self.verify, wanted)
        labels, more = _labels(opened, _TRAIN), [_MORE] if self.with_unlabelled else []
        images = _images(opened, ["train_X.bin", *more])
        if more:
            rest = np.full(len(images) - _count(opened, "train_X.bin"), UNLABELLED, np.int32)
            labels = np.concatenate([labels, rest])
        dataset = Dataset(images, labels, _images(opened, ["test_X.bin"]), _labels(opened, _TEST))
        if self.verify:
            examples = STL10.train_examples + UNLABELLED_EXAMPLES * self.with_unlabelled
            info = replace(STL10, train_examples=examples)
            check_counts(PUBLICATION, opened.place, dataset, info)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(STL10.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the name of its archive or folder."""
        return recognized((BINARY,), place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the files: 20 labelled, 30 unlabelled and 10 test images of noise."""
        random, made = np.random.default_rng(0), folder / BINARY.folder
        made.mkdir()
        for name, examples in (("train_X.bin", 20), ("test_X.bin", 10), (_MORE, 30)):
            pixels = random.integers(0, 256, (examples, _PIXELS), np.uint8)
            (made / name).write_bytes(pixels.tobytes())
            labels = 1 + np.arange(examples, dtype=np.uint8) % STL10.classes
            if name != _MORE:
                (made / name.replace("_X", "_y")).write_bytes(labels.tobytes())
        return cls(path=str(folder), with_unlabelled=True, verify=False)


def _count(opened: Opened, name: str) -> int:
    """The number of images in a file.

    Raises:
        DataError: the file is cut off.
    """
    content, md5 = opened.contents[name], opened.archive.md5.get(name)
    with damage_reported(PUBLICATION, opened.place / name, md5):
        if not content or len(content) % _PIXELS:
            raise ValueError(f"it has {len(content)} bytes, expected a multiple of {_PIXELS}")
    return len(content) // _PIXELS


def _images(opened: Opened, names: list[str]) -> NDArray[np.uint8]:
    """The images of these files, which store three colour planes column by column."""
    counts = [_count(opened, name) for name in names]
    with damage_reported(PUBLICATION, opened.place / names[-1], None):
        refuse_beyond_memory(sum(counts) * _PIXELS)
    images, start = np.empty((sum(counts), *STL10.image_shape), np.uint8), 0
    for name, count in zip(names, counts, strict=True):
        planes = np.frombuffer(opened.contents[name], np.uint8).reshape(-1, 3, _SIDE, _SIDE)
        images[start : start + count] = planes.transpose(0, 3, 2, 1)
        start += count
    return images


def _labels(opened: Opened, part: str) -> NDArray[np.int32]:
    """The labels of a part, one per image."""
    name, images = f"{part}_y.bin", _count(opened, f"{part}_X.bin")
    content = opened.contents[name]
    with damage_reported(PUBLICATION, opened.place / name, opened.archive.md5.get(name)):
        if len(content) != images:
            raise ValueError(f"it has {len(content)} labels, expected {images}, one per image")
        return checked_labels(np.frombuffer(content, np.uint8), STL10.classes, first=1)
