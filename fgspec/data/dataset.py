"""The images and labels of a data set, in the form that every source returns."""

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
    """Images [N, H, W, C], uint8, or float32 in [0, 1].

    Either an array, or an object that reads images from files when they are taken.
    """

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
        """The images with these indices, copied to a new array [B, H, W, C]; `axis` must be 0."""
        ...

    def __getitem__(self, part: slice, /) -> "Images":
        """A range of the images; nothing is read from files yet."""
        ...


@dataclass(frozen=True)
class Reading:
    """How the images of a source become batches.

    Attributes:
        threads: how many threads make batches; each makes whole ones.
        ahead: how many batches are made before they are needed, which bounds the memory.
        evidence: a function from images to an array that differs if the images differ.
    """

    threads: int
    ahead: int
    evidence: Callable[[Any], NDArray[Any]]


# By default Grain would hold up to 500 batches. One thread and four batches suffice to copy images
# from memory while a step runs.
IN_MEMORY = Reading(threads=1, ahead=4, evidence=lambda images: images)


@dataclass(frozen=True)
class Dataset:
    """A training set, a test set and perhaps a validation set. Arrays are read-only.

    Attributes:
        train_images: [N, H, W, C], uint8, or float32 in [0, 1].
        train_labels: classes [N], int32, from 0 to classes - 1, or -1 (`UNLABELLED`) for an image
            without a label; or one of the other forms of `AnyLabels`.
        test_images: [M, H, W, C], like the training images.
        test_labels: the labels of M images, like the training labels, but none is missing.
        reading: how the images become batches.
        valid_images: [V, H, W, C], like the training images; V is 0 without a validation set.
        valid_labels: the labels of V images, like the test labels.
        names: the names of the classes, by label, or of the numbers of a label; empty if they have
            none.
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
        """Make the arrays read-only: a batch may be a view of them, and must not change them."""
        for part in vars(self).values():
            if isinstance(part, np.ndarray):
                part.setflags(write=False)


def labelled(labels: AnyLabels) -> NDArray[np.bool_]:
    """Which images have a label, [N]. Only labels that are classes can be missing.

    Args:
        labels: the labels of N images.
    """
    return labels != UNLABELLED if labels.ndim == 1 else np.ones(len(labels), np.bool_)


def checked_labels(labels: NDArray[Any], classes: int, first: int = 0) -> Labels:
    """Check labels, and convert them to int32 [N], from 0 to classes - 1.

    Args:
        labels: [N], any integer dtype.
        classes: the number of classes.
        first: the label of the first class.

    Raises:
        ValueError: a label is not from `first` to `first + classes - 1`.
    """
    last = first + classes - 1
    outside = labels[(labels < first) | (labels > last)]
    if outside.size:
        raise ValueError(f"it has the label {outside[0]}, expected {first} to {last}")
    return labels.astype(np.int32) - np.int32(first)


def checked_numbers(labels: NDArray[Any], kind: LabelKind) -> AnyLabels:
    """Check labels that are not classes, [N, k]; vectors become float32, zeros and ones int32.

    Args:
        labels: [N, k], any numbers.
        kind: `vector` or `binary`.

    Raises:
        ValueError: of a vector: a number is not finite as float32; of binary labels: a label is
            neither 0 nor 1.
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
    """Up to `most` evenly spaced images, in order; the same ones at every call."""
    places = np.linspace(0, len(images) - 1, min(most, len(images)))
    return images.take(places.round().astype(np.int32), axis=0)
