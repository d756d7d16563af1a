"""`data.source: kmnist`."""

from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified

# The mean and the deviation in common use.
KMNIST = DatasetInfo("kmnist", (28, 28, 1), 10, 60_000, 10_000, (0.1918,), (0.3483,))


class Kmnist(Published):
    """Kuzushiji-MNIST, 28x28 grey cursive hiragana, from its four published IDX files."""

    behaviour: ClassVar[str | None] = "fgspec.data.kmnist:Kmnist"
    published: ClassVar[DatasetInfo] = KMNIST
    title: ClassVar[str] = "Kuzushiji-MNIST"
    licence: ClassVar[str] = "CC BY-SA 4.0"
    citation: ClassVar[str] = (
        "Clanuwat et al. (2018), Deep learning for classical Japanese literature, arXiv:1812.01718"
    )
    homepage: ClassVar[str] = "https://github.com/rois-codh/kmnist"

    type: Literal["kmnist"] = Field(
        default="kmnist", description="Kuzushiji-MNIST, 28x28 grey cursive hiragana."
    )
    path: MaybePath = published_path(
        "kmnist", "The folder that holds the four IDX files, gzipped or not, or `KMNIST/raw`."
    )
    verify: bool = verified(
        "MD5 digest of gzipped files, number of examples, and mean of the training images"
    )
