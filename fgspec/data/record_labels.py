"""Labels of examples that other libraries stored, some of which may have none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fgspec.errors import DataError
from fgspec.spec.dataset_info import UNLABELLED


def greatest_of(labels: NDArray[np.integer], names: Sequence[str], classes: int = 0) -> int:
    """The greatest label there may be.

    Args:
        labels: of the training images, [N].
        names: of the classes; empty if they have none.
        classes: how many classes were declared; 0 if that is not known.
    """
    return max(len(names), classes) - 1 if names or classes else int(labels.max())


def checked(
    labels: NDArray[np.integer], greatest: int, where: str, may_lack: bool
) -> NDArray[np.int32]:
    """Labels as int32 [N].

    Args:
        labels: [N]; -1 where there is none.
        greatest: label there may be.
        where: field and place of the labels, with which an error begins.
        may_lack: whether labels may be missing.

    Raises:
        DataError: a label is out of range, or missing where it must not be.
    """
    least = UNLABELLED if may_lack else 0
    outside = labels[(labels < least) | (labels > greatest)]
    if outside.size:
        raise DataError(
            f"{where} has the label {outside[0]}, expected 0 to {greatest}; correct the labels"
            if outside[0] != UNLABELLED
            else f"{where} has {(labels == UNLABELLED).sum():,} images without a label, and test "
            "images need one; name another split"
        )
    return labels.astype(np.int32)
