"""CIFAR-100 from its published archives or the folders they unpack to."""

from pathlib import Path
from typing import Self

import numpy as np

from fgspec.data.archived import Archive, open_archive, recognized
from fgspec.data.cifar import PIXELS, Decoded, from_batch, from_records
from fgspec.data.dataset import Dataset
from fgspec.data.moments import measured
from fgspec.data.published import Publication, check_counts, damage_reported
from fgspec.spec import cifar100
from fgspec.spec.cifar100 import CIFAR100, COARSE_CLASSES
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search

PUBLICATION = Publication(cifar100.Cifar100.title, (cifar100.Cifar100.homepage,), "cifar100")
# The digests are those of torchvision (torchvision/datasets/cifar.py); that of the binary version
# is from MindSpore's download of Cifar100.
PYTHON = Archive(
    file="cifar-100-python.tar.gz",
    file_md5="eb9058c3a382ffc7106e4002c42a8d85",
    folder="cifar-100-python",
    files=("train", "test"),
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)
BINARY = Archive(
    file="cifar-100-binary.tar.gz",
    file_md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    files=("train.bin", "test.bin"),
)
ARCHIVES = (PYTHON, BINARY)
_COARSE, _FINE = 0, 1
"""Indices of the two labels in a record of the binary version."""


class Cifar100(cifar100.Cifar100):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 32, 32, 3] uint8.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        opened = open_archive(PUBLICATION, ARCHIVES, self.path, search, self.verify)
        parts: list[Decoded] = []
        for name, content in opened.contents.items():
            with damage_reported(PUBLICATION, opened.place / name, opened.archive.md5.get(name)):
                parts.append(self._decoded(content, opened.archive))
        (train_images, train_labels), (test_images, test_labels) = parts
        dataset = Dataset(train_images, train_labels, test_images, test_labels)
        if self.verify:
            check_counts(PUBLICATION, opened.place, dataset, CIFAR100)
        return dataset

    def _decoded(self, content: bytes, archive: Archive) -> Decoded:
        if archive is PYTHON:
            return from_batch(content, f"{self.labels}_labels", self.classes)
        return from_records(content, 2, _FINE if self.labels == "fine" else _COARSE, self.classes)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(CIFAR100.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the names of its archives and folders."""
        return recognized(ARCHIVES, place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write a stand-in for the binary version, with 100 and 40 noise images."""
        random = np.random.default_rng(0)
        (folder / BINARY.folder).mkdir()
        for name, examples in zip(BINARY.files, (100, 40), strict=True):
            fine = np.arange(examples, dtype=np.uint8)
            pixels = random.integers(0, 256, (examples, PIXELS), np.uint8)
            records = np.column_stack([fine % COARSE_CLASSES, fine, pixels])
            (folder / BINARY.folder / name).write_bytes(records.tobytes())
        return cls(path=str(folder), verify=False)
