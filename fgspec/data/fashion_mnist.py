"""Fashion-MNIST from its published IDX files."""

from typing import ClassVar

from fgspec.data.idx import IdxSet, IdxSource
from fgspec.data.published import Publication
from fgspec.spec import fashion_mnist
from fgspec.spec.fashion_mnist import FASHION_MNIST


class FashionMnist(IdxSource, fashion_mnist.FashionMnist):
    """The fields of this source, and how its files are read."""

    files: ClassVar = IdxSet(
        Publication(
            fashion_mnist.FashionMnist.title,
            (fashion_mnist.FashionMnist.homepage,),
            "fashion_mnist",
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
