"""`data.source: fashion_mnist`."""

from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified

# The mean and the deviation in common use, as in torchvision's examples.
FASHION_MNIST = DatasetInfo("fashion_mnist", (28, 28, 1), 10, 60_000, 10_000, (0.2860,), (0.3530,))


class FashionMnist(Published):
    """Fashion-MNIST, 28x28 grey articles of clothing, from its four published IDX files."""

    behaviour: ClassVar[str | None] = "fgspec.data.fashion_mnist:FashionMnist"
    published: ClassVar[DatasetInfo] = FASHION_MNIST
    title: ClassVar[str] = "Fashion-MNIST"
    licence: ClassVar[str] = "MIT"
    citation: ClassVar[str] = (
        "Xiao, Rasul and Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking "
        "machine learning algorithms, arXiv:1708.07747"
    )
    homepage: ClassVar[str] = "https://github.com/zalandoresearch/fashion-mnist"

    type: Literal["fashion_mnist"] = Field(
        default="fashion_mnist", description="Fashion-MNIST, 28x28 grey articles of clothing."
    )
    path: MaybePath = published_path(
        "fashion_mnist",
        "The folder that holds the four IDX files, gzipped or not, or `FashionMNIST/raw`.",
    )
    verify: bool = verified(
        "MD5 digest of gzipped files, number of examples, and mean of the training images"
    )
