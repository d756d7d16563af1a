"""Images and labels, as every source hands them over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fgspec.spec.dataset_info import UNLABELLED, LabelKind

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Labels = NDArray[np.int32]
"""Classes [N]; or labels of 0 and 1 [N, k]."""

AnyLabels = Labels | NDArray[np.float32]
"""Classes [N], int32; vectors [N, k], float32; or labels of 0 and 1 [N, k], int32."""


class Images(Protocol):
    """Images [N, H, W, C], uint8, or float32 in [0, 1]: an array, or what reads them when taken."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, height, width (pixels), channels."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32."""
        ...

    def __len__(self) -> int:
        """The number of images."""
        ...

    def take(self, indices: NDArray[np.integer], /, axis: int) -> Any:
        """The images at these places, [B, H, W, C], in an array of their own; `axis` is 0."""
        ...

    def __getitem__(self, part: slice, /) -> "Images":
        """A range of the images, not read yet where these are not."""
        ...


@dataclass(frozen=True)
class Reading:
    """How the images of a source become batches.

    Attributes:
        threads: that make batches, each a whole one.
        ahead: batches that are made before they are asked for; they bound the memory.
        evidence: from images to an array that is another where the images are others.
    """

    threads: int
    ahead: int
    evidence: Callable[[Any], NDArray[Any]]


# Grain's own default would hold up to 500 batches; a thread and four of them hide the copying.
IN_MEMORY = Reading(threads=1, ahead=4, evidence=lambda images: images)


@dataclass(frozen=True)
class Dataset:
    """A training set, a test set and perhaps a validation set; arrays are read-only.

    Attributes:
        train_images: [N, H, W, C], uint8, or float32 in [0, 1].
        train_labels: [N], int32, from 0 to classes - 1, or -1 (`UNLABELLED`) of an image that has
            no label; or what else `AnyLabels` says.
        test_images: [M, H, W, C], like the training images.
        test_labels: of M images, like the training labels, none of them missing.
        reading: how batches are made of the images.
        valid_images: [V, H, W, C], like the training images; V is 0 where none are set aside.
        valid_labels: of V images, like the test labels.
        names: of the classes, by label, or of the numbers of a label; empty where they have none.
    """

    train_images: Images
    train_labels: AnyLabels
    test_images: Images
    test_labels: AnyLabels
    reading: Reading = IN_MEMORY
    valid_images: Images = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.uint8))
    valid_labels: AnyLabels = field(default_factory=lambda: np.zeros(0, np.int32))
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Locks the arrays: batches that are views of them must not change them."""
        for part in vars(self).values():
            if isinstance(part, np.ndarray):
                part.setflags(write=False)


def labelled(labels: AnyLabels) -> NDArray[np.bool_]:
    """Which images have a label, [N]; only classes can be missing.

    Args:
        labels: of N images.
    """
    return labels != UNLABELLED if labels.ndim == 1 else np.ones(len(labels), np.bool_)


def checked_labels(labels: NDArray[Any], classes: int, first: int = 0) -> Labels:
    """Labels as int32 [N], from 0 to classes - 1.

    Args:
        labels: [N], any integer dtype.
        classes: number of classes.
        first: the label of the first class.

    Raises:
        ValueError: a label is outside first to first + classes - 1.
    """
    last = first + classes - 1
    outside = labels[(labels < first) | (labels > last)]
    if outside.size:
        raise ValueError(f"it has the label {outside[0]}, expected {first} to {last}")
    return labels.astype(np.int32) - np.int32(first)


def checked_numbers(labels: NDArray[Any], kind: LabelKind) -> AnyLabels:
    """Labels that are no classes, [N, k]: vectors as float32, labels of 0 and 1 as int32.

    Args:
        labels: [N, k], any numbers.
        kind: `vector` or `binary`.

    Raises:
        ValueError: a number is not finite as float32, or neither 0 nor 1.
    """
    if kind == "binary":
        other = labels[(labels != 0) & (labels != 1)]
        if other.size:
            raise ValueError(f"it has the label {other[0]}, expected 0 or 1")
        return labels.astype(np.int32)
    with np.errstate(over="ignore"):
        numbers = labels.astype(np.float32)
    bad = labels[~np.isfinite(numbers)]
    if bad.size:
        raise ValueError(f"it has the number {bad[0]}, expected finite numbers that fit float32")
    return numbers


def spread(images: Images, most: int) -> Any:
    """Up to `most` of the images, evenly spread over all, in order: the same at every call."""
    places = np.linspace(0, len(images) - 1, min(most, len(images)))
    return images.take(places.round().astype(np.int32), axis=0)
