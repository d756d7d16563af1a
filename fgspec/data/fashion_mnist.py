"""Fashion-MNIST from its published IDX files."""

from pathlib import Path
from typing import Self

from fgspec.data.dataset import Dataset
from fgspec.data.idx import IdxSet
from fgspec.data.moments import measured
from fgspec.data.published import Publication
from fgspec.spec import fashion_mnist
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.fashion_mnist import FASHION_MNIST
from fgspec.spec.sources import Search

FILES = IdxSet(
    Publication(
        fashion_mnist.FashionMnist.title, (fashion_mnist.FashionMnist.homepage,), "fashion_mnist"
    ),
    FASHION_MNIST,
    made=("FashionMNIST/raw", "raw", "fashion-mnist", "data/fashion"),
    # The digests are those of torchvision (torchvision/datasets/mnist.py).
    packed_md5={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


class FashionMnist(fashion_mnist.FashionMnist):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 28, 28, 1] uint8, of the four files.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        return FILES.read(self.path, search, self.verify)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(FASHION_MNIST.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the mean of its training images."""
        return FILES.recognizes(place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the four files, with 20 training and 10 test images of noise."""
        FILES.write(folder)
        return cls(path=str(folder), verify=False)
