"""`data.source: tiny_imagenet`."""

from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified

# The mean and the deviation in common use, over all pixels of the training images.
TINY_IMAGENET = DatasetInfo(
    "tiny_imagenet",
    (64, 64, 3),
    200,
    100_000,
    10_000,
    (0.4802, 0.4481, 0.3975),
    (0.2770, 0.2691, 0.2821),
)


class TinyImageNet(Published):
    """Tiny ImageNet, 64x64 colour photographs of 200 classes, as its archive unpacks.

    The training images of class `nXXXX` are `train/nXXXX/images/*.JPEG`, and the test images are
    the published validation images, whose classes are in `val/val_annotations.txt`. Images are
    decoded when a batch needs them.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.tiny_imagenet:TinyImageNet"
    published: ClassVar[DatasetInfo] = TINY_IMAGENET
    title: ClassVar[str] = "Tiny ImageNet"
    decoded: ClassVar[bool] = True
    resizes: ClassVar[bool] = True
    licence: ClassVar[str] = "none stated by its authors; the images are of ImageNet"
    citation: ClassVar[str] = (
        "Le and Yang (2015), Tiny ImageNet visual recognition challenge, CS231n"
    )
    homepage: ClassVar[str] = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"

    type: Literal["tiny_imagenet"] = Field(
        default="tiny_imagenet",
        description="Tiny ImageNet, 64x64 colour photographs of 200 classes.",
    )
    path: MaybePath = published_path(
        "tiny_imagenet",
        "The folder that holds `wnids.txt`, `train/` and `val/`, or the folder that holds "
        "`tiny-imagenet-200/`.",
    )
    verify: bool = verified("number of classes and examples")
