"""`data.source: hugging_face`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Resume
from fgspec.spec.saved_splits import (
    SavedSplits,
    Size,
    size_of_images,
    test_split,
    training_split,
)


class HuggingFace(SavedSplits):
    """A data set saved by Hugging Face `datasets`: `dataset.save_to_disk(PATH)`.

    The set must have a column of images and one of labels: a `ClassLabel`, or whole numbers from 0.
    An image whose label is -1 or missing has none. Images are decoded when a batch needs them; the
    package `datasets` itself is not needed.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.hugging_face:HuggingFace"

    type: Literal["hugging_face"] = Field(
        default="hugging_face", description="A data set saved by Hugging Face `datasets`."
    )
    path: Annotated[str, Resume.MAY_CHANGE] = Field(
        description="The folder that `save_to_disk` wrote, with a folder for each split. A "
        "relative path is looked for in the current directory, then in `$FGSPEC_DATA`.",
        examples=["data/beans"],
    )
    train: str = training_split("training")
    test: str = test_split()
    image: str = Field(default="image", description="The column of the images.", examples=["img"])
    label: str = Field(
        default="label", description="The column of the labels.", examples=["fine_label"]
    )
    size: Size = size_of_images()
