"""The fields that sources share if other libraries saved their data as splits."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from fgspec.spec.base import PositiveInt, Unit
from fgspec.spec.sources import Source

Size = Annotated[PositiveInt | None, Unit("pixels")]
"""The height and width of images, if they are resized."""


class SavedSplits(Source):
    """Two splits of encoded images with labels, in the files of another library."""

    decoded: ClassVar[bool] = True

    # Pydantic puts fields of a base class first, which would change the order in printed specs. So
    # each source declares these fields itself.
    if TYPE_CHECKING:
        path: str
        train: str
        test: str
        image: str
        label: str
        size: Size


def training_split(example: str) -> Any:
    """The field of the split of the training images."""
    return Field(
        default="train", description="The split of the training images.", examples=[example]
    )


def test_split() -> Any:
    """The field of the split of the test images."""
    return Field(
        default="test", description="The split of the test images.", examples=["validation"]
    )


def size_of_images() -> Any:
    """The field of the size of images."""
    return Field(
        default=None,
        description="Height and width that the central square of each image is resized to. null: "
        "images stay as they are, and must all have one size.",
        examples=[64],
    )
