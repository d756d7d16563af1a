"""`data.source: imagenet32`."""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import IMAGENET, MaybePath, Published, published_path, verified

# The images are those of ImageNet. The mean is that of its 32x32 pixels in several published
# readers, such as NAS-Bench-201's; the deviation is that of the readers for 32x32 pixels.
IMAGENET32 = replace(
    IMAGENET,
    name="imagenet32",
    image_shape=(32, 32, 3),
    mean=(0.4811, 0.4575, 0.4078),
    std=(0.2605, 0.2533, 0.2683),
)


class ImageNet32(Published):
    """ImageNet (ILSVRC 2012) in 32x32 pixels, from its published batches, archived or unpacked.

    The images of `train_data_batch_1` to `train_data_batch_10` train, and those of `val_data` test;
    both versions, pickled and `.npz`, are read. All of them are held in memory, 4 GB.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.imagenet32:ImageNet32"
    published: ClassVar[DatasetInfo] = IMAGENET32
    title: ClassVar[str] = "ImageNet32"
    licence: ClassVar[str] = "non-commercial research and education, by the terms of ImageNet"
    citation: ClassVar[str] = (
        "Chrabaszcz, Loshchilov and Hutter (2017), A downsampled variant of ImageNet as an "
        "alternative to the CIFAR datasets, arXiv:1707.08819"
    )
    homepage: ClassVar[str] = "https://patrykchrabaszcz.github.io/Imagenet32/"

    type: Literal["imagenet32"] = Field(
        default="imagenet32", description="ImageNet of 2012 in 32x32 pixels."
    )
    path: MaybePath = published_path(
        "imagenet32",
        "The folder that holds the batches, or the archives (`Imagenet32_train.zip`, "
        "`Imagenet32_val.zip`) or the folders they unpack to.",
    )
    verify: bool = verified("number of examples, and by the sizes of the archives of `.npz` files")
