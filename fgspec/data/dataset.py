"""Images and labels in memory, as every source hands them over."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8] | NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Dataset:
    """A training set and a test set; the arrays are read-only.

    Attributes:
        train_images: [N, H, W, C], uint8, or float32 in [0, 1].
        train_labels: [N], int32, from 0 to classes - 1.
        test_images: [M, H, W, C], like the training images.
        test_labels: [M], int32, like the training labels.
    """

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels

    def __post_init__(self) -> None:
        """Locks the arrays: batches that are views of them must not change them."""
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array.setflags(write=False)


def checked_labels(labels: NDArray[Any], classes: int) -> Labels:
    """Labels as int32 [N].

    Args:
        labels: [N], any integer dtype.
        classes: number of classes.

    Raises:
        ValueError: a label is outside 0 to classes - 1.
    """
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(f"it has the label {outside[0]}, expected 0 to {classes - 1}")
    return labels.astype(np.int32)
