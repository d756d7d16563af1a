"""Kuzushiji-MNIST from its published IDX files."""

from pathlib import Path
from typing import Self

from fgspec.data.dataset import Dataset
from fgspec.data.idx import IdxSet
from fgspec.data.moments import measured
from fgspec.data.published import Publication
from fgspec.spec import kmnist
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kmnist import KMNIST
from fgspec.spec.sources import Search

FILES = IdxSet(
    Publication(kmnist.Kmnist.title, (kmnist.Kmnist.homepage,), "kmnist"),
    KMNIST,
    made=("KMNIST/raw", "raw"),
    # The digests are those of torchvision (torchvision/datasets/mnist.py).
    packed_md5={
        "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)


class Kmnist(kmnist.Kmnist):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 28, 28, 1] uint8, of the four files.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        return FILES.read(self.path, search, self.verify)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(KMNIST.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the mean of its training images."""
        return FILES.recognizes(place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the four files, with 20 training and 10 test images of noise."""
        FILES.write(folder)
        return cls(path=str(folder), verify=False)
