"""What a plan needs to know of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LabelKind = Literal["class", "vector", "binary"]
"""What the label of an example is."""

LABEL_WORDS: Mapping[LabelKind, str] = {
    "class": "a class",
    "vector": "a vector of numbers",
    "binary": "several labels, each 0 or 1",
}
"""What a label is, in words."""

_MOST_COLOURS = 4
"""Grey, with alpha, colours, with alpha: what a first axis holds where it is one of channels."""


UNLABELLED = -1
"""The label of a training image that has none."""


def is_channels_first(image_shape: tuple[int, ...]) -> bool:
    """Whether images said to be [height, width, channels] look like [channels, height, width].

    They would train as images of a few rows with many colours, and nothing would tell.
    """
    first, *others = image_shape
    return first <= _MOST_COLOURS < min(others)


@dataclass(frozen=True)
class DatasetInfo:
    """Shape, size and pixel statistics of a data set.

    Attributes:
        name: short name, for logs.
        image_shape: height, width (pixels), channels.
        classes: number of classes; labels run from 0 to classes - 1. 0 where a label is no class.
        train_examples: number of training images.
        test_examples: number of test images.
        mean: per channel, of training pixels scaled to [0, 1].
        std: per channel, positive, of training pixels scaled to [0, 1]; 1 for a constant channel,
            so that it can always be divided by.
        pixels: dtype of the images.
        valid_examples: number of images that were set aside from the training images.
        label: what the label of an image is.
        numbers: how many numbers a label has that is no class; 0 where it is one.
        label_square: the mean, over training images, of the sum of the squared numbers of a label;
            0 where a label is a class.
        unlabelled: number of training images that have no label; theirs is `UNLABELLED`.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    train_examples: int
    test_examples: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels: Literal["uint8", "float32"] = "uint8"
    valid_examples: int = 0
    label: LabelKind = "class"
    numbers: int = 0
    label_square: float = 0.0
    unlabelled: int = 0

    @property
    def width(self) -> int:
        """Outputs that tell a label: one for each class, or one for each number."""
        return self.classes or self.numbers

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one label: () for a class, else (numbers,)."""
        return (self.numbers,) if self.numbers else ()

    @property
    def label_dtype(self) -> Literal["int32", "float32"]:
        """The dtype of labels: float32 for vectors, else int32."""
        return "float32" if self.label == "vector" else "int32"
