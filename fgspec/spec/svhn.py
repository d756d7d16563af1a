"""`data.source: svhn`."""

from typing import ClassVar, Literal

from pydantic import Field

from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified

# The mean and the deviation in common use; of the training images without the extra ones.
SVHN = DatasetInfo(
    "svhn",
    (32, 32, 3),
    10,
    73_257,
    26_032,
    (0.4377, 0.4438, 0.4728),
    (0.1980, 0.2010, 0.1970),
)
EXTRA_EXAMPLES = 531_131


class Svhn(Published):
    """Street View House Numbers, 32x32 colour photographs of digits, from its published .mat files.

    The files are those of cropped digits ("format 2"). Their labels run from 1 to 10, and 10 stands
    for the digit 0: here the label of a digit is the digit.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.svhn:Svhn"
    published: ClassVar[DatasetInfo] = SVHN
    title: ClassVar[str] = "SVHN"
    licence: ClassVar[str] = "as its homepage states"
    citation: ClassVar[str] = (
        "Netzer, Wang, Coates, Bissacco, Wu and Ng (2011), Reading digits in natural images with "
        "unsupervised feature learning, NIPS workshop on deep learning and unsupervised feature "
        "learning"
    )
    homepage: ClassVar[str] = "http://ufldl.stanford.edu/housenumbers"

    type: Literal["svhn"] = Field(
        default="svhn", description="Street View House Numbers, 32x32 colour photographs of digits."
    )
    path: MaybePath = published_path(
        "svhn", "The folder that holds `train_32x32.mat` and `test_32x32.mat`."
    )
    with_extra: bool = Field(
        default=False,
        description="Whether the images of `extra_32x32.mat` join the training images. Mean and "
        "standard deviation are measured then, as they were not published.",
        examples=[True],
    )
    verify: bool = verified("MD5 digest and number of examples")

    def as_published(self) -> DatasetInfo | None:
        """Nobody published the mean of the extra images."""
        return None if self.with_extra else SVHN
