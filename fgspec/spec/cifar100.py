"""`data.source: cifar100`."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Values
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified

# The mean and the deviation in common use.
CIFAR100 = DatasetInfo(
    "cifar100",
    (32, 32, 3),
    100,
    50_000,
    10_000,
    (0.5071, 0.4867, 0.4408),
    (0.2675, 0.2565, 0.2761),
)
COARSE_CLASSES = 20


class Cifar100(Published):
    """CIFAR-100, 32x32 colour photographs: the python or binary version, archived or unpacked."""

    behaviour: ClassVar[str | None] = "fgspec.data.cifar100:Cifar100"
    published: ClassVar[DatasetInfo] = CIFAR100
    title: ClassVar[str] = "CIFAR-100"
    licence: ClassVar[str] = "none stated by its authors, who ask to be cited"
    citation: ClassVar[str] = (
        "Krizhevsky (2009), Learning multiple layers of features from tiny images, University of "
        "Toronto"
    )
    homepage: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar.html"

    type: Literal["cifar100"] = Field(
        default="cifar100", description="CIFAR-100, 32x32 colour photographs of 100 classes."
    )
    path: MaybePath = published_path(
        "cifar100", "The archive, the unpacked folder, or a folder that holds one of them."
    )
    labels: Annotated[
        Literal["fine", "coarse"],
        Values({"fine": "The 100 classes.", "coarse": "Their 20 superclasses."}),
    ] = Field(default="fine", description="Which of its two labels of an image is the class.")
    verify: bool = verified("MD5 digest and number of examples")

    def as_published(self) -> DatasetInfo:
        """The same images have 100 or 20 classes."""
        return replace(CIFAR100, classes=self.classes)

    @property
    def classes(self) -> int:
        """The number of classes of the labels that are read."""
        return CIFAR100.classes if self.labels == "fine" else COARSE_CLASSES
