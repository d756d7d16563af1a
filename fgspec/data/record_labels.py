"""Checks labels that other libraries stored, some of which may be missing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fgspec.errors import DataError
from fgspec.spec.dataset_info import UNLABELLED


def greatest_of(labels: NDArray[np.integer], names: Sequence[str], classes: int = 0) -> int:
    """The greatest label that an image may have.

    Args:
        labels: the labels of the training images, [N].
        names: the names of the classes; empty if they have none.
        classes: how many classes were declared; 0 if this is not known.
    """
    return max(len(names), classes) - 1 if names or classes else int(labels.max())


def checked(
    labels: NDArray[np.integer], greatest: int, where: str, may_lack: bool
) -> NDArray[np.int32]:
    """Check labels, and convert them to int32 [N].

    Args:
        labels: [N]; -1 where an image has no label.
        greatest: the greatest label that an image may have.
        where: the field and place of the labels, with which an error begins.
        may_lack: whether labels may be missing.

    Raises:
        DataError: a label is out of range, or is missing although it may not be.
    """
    least = UNLABELLED if may_lack else 0
    outside = labels[(labels < least) | (labels > greatest)]
    if outside.size:
        raise DataError(
            f"{where} has the label {outside[0]}, expected 0 to {greatest}; correct the labels"
            if outside[0] != UNLABELLED
            else f"{where} has {(labels == UNLABELLED).sum():,} images without a label, but test "
            "images need one; set data.source.test to another split"
        )
    return labels.astype(np.int32)
