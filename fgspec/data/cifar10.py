"""CIFAR-10 from its published archives or the folders they unpack to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from fgspec.data.archived import Archive, open_archive, recognized
from fgspec.data.cifar import PIXELS, Decoded, from_batch, from_records
from fgspec.data.dataset import Dataset
from fgspec.data.moments import measured
from fgspec.data.published import Publication, check_counts, damage_reported
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import CIFAR10, Search

PUBLICATION = Publication(sources.Cifar10.title, (sources.Cifar10.homepage,), "cifar10")


@dataclass(frozen=True)
class Layout(Archive):
    """One of the two published versions.

    Attributes:
        decode: from a file's bytes to images [N, 32, 32, 3] uint8 and labels [N] int32; raises
            ValueError.
    """

    decode: Callable[[bytes], Decoded] = lambda content: from_batch(content, "labels", 10)


class Cifar10(sources.Cifar10):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 32, 32, 3] uint8.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        opened = open_archive(PUBLICATION, LAYOUTS, self.path, search, self.verify)
        layout = next(layout for layout in LAYOUTS if layout is opened.archive)
        parts: dict[str, Decoded] = {}
        for name in layout.files:
            with damage_reported(PUBLICATION, opened.place / name, layout.md5.get(name)):
                parts[name] = layout.decode(opened.contents[name])
        *train, test = layout.files
        test_images, test_labels = parts[test]
        dataset = Dataset(
            train_images=np.concatenate([parts[name][0] for name in train]),
            train_labels=np.concatenate([parts[name][1] for name in train]),
            test_images=test_images,
            test_labels=test_labels,
        )
        if self.verify:
            check_counts(PUBLICATION, opened.place, dataset, CIFAR10)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(CIFAR10.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the names of its archives and folders."""
        return recognized(LAYOUTS, place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write a stand-in for the binary version, with 10 noise images per file."""
        random, layout = np.random.default_rng(0), LAYOUTS[1]
        (folder / layout.folder).mkdir()
        for name in layout.files:
            labels = np.arange(CIFAR10.classes, dtype=np.uint8)[:, np.newaxis]
            pixels = random.integers(0, 256, (len(labels), PIXELS), np.uint8)
            content = np.concatenate([labels, pixels], axis=1).tobytes()
            (folder / layout.folder / name).write_bytes(content)
        return cls(path=str(folder), verify=False)


LAYOUTS = (
    Layout(
        file="cifar-10-python.tar.gz",
        file_md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        files=(*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
    ),
    Layout(
        file="cifar-10-binary.tar.gz",
        file_md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        files=(*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
        decode=lambda content: from_records(content, 1, 0, CIFAR10.classes),
    ),
)
