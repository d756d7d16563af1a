"""What a plan needs to know of a data set."""

from dataclasses import dataclass
from typing import Literal

_MOST_COLOURS = 4
"""Grey, with alpha, colours, with alpha: what a first axis holds where it is one of channels."""


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
        classes: number of classes; labels run from 0 to classes - 1.
        train_examples: number of training images.
        test_examples: number of test images.
        mean: per channel, of training pixels scaled to [0, 1].
        std: per channel, positive, of training pixels scaled to [0, 1]; 1 for a constant channel,
            so that it can always be divided by.
        pixels: dtype of the images.
        valid_examples: number of images that were set aside from the training images.
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
