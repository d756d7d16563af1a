"""`data.source: tfds`."""

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


class Tfds(SavedSplits):
    """A data set that TensorFlow Datasets prepared as ArrayRecord.

    `tfds build NAME --file_format=array_record` prepares one. It must have a feature `Image` and a
    feature of labels: a `ClassLabel`, or a whole number from 0. An image whose label is -1 has
    none. Images are decoded when a batch needs them; neither TensorFlow nor TensorFlow Datasets is
    needed. ArrayRecord has no columns: to read the labels, every record is read once when a run
    begins.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.tfds:Tfds"

    type: Literal["tfds"] = Field(
        default="tfds", description="A data set that TensorFlow Datasets prepared as ArrayRecord."
    )
    path: Annotated[str, Resume.MAY_CHANGE] = Field(
        description="The folder of a version, which holds `dataset_info.json`, or one above it "
        "that holds no other version. A relative path is looked for in the current directory, then "
        "in `$FGSPEC_DATA`.",
        examples=["data/birds"],
    )
    train: str = training_split("train_full")
    test: str = test_split()
    image: str = Field(default="image", description="The feature of the images.", examples=["img"])
    label: str = Field(
        default="label", description="The feature of the labels.", examples=["coarse_label"]
    )
    size: Size = size_of_images()
