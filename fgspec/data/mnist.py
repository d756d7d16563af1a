"""MNIST from its published IDX files."""

from pathlib import Path
from typing import Self

from fgspec.data.dataset import Dataset
from fgspec.data.idx import IdxSet
from fgspec.data.moments import measured
from fgspec.data.published import Publication
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MNIST, Search

FILES = IdxSet(
    Publication(
        sources.Mnist.title,
        ("http://yann.lecun.com/exdb/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        "mnist",
    ),
    MNIST,
    made=("MNIST/raw", "raw"),
    # These are the digests of the unpacked files. The same files are distributed gzipped in more
    # than one way, so digests of .gz files would refuse intact ones.
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)


class Mnist(sources.Mnist):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 28, 28, 1] uint8, of the four files.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        return FILES.read(self.path, search, self.verify)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(MNIST.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the mean of its training images."""
        return FILES.recognizes(place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the four files, with 20 training and 10 test images of noise."""
        FILES.write(folder)
        return cls(path=str(folder), verify=False)
