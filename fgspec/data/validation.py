"""A validation set: training examples that are set aside before anything else sees them."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, Images, Reading, labelled
from fgspec.spec.data import Validation
from fgspec.spec.dataset_info import DatasetInfo

_STREAM = 0x76616C6964
"""Apart from the streams of training orders, which are addressed by a seed and an epoch."""


def set_aside(validation: Validation, training: int) -> NDArray[np.intp]:
    """The places, in order, of the training examples that are set aside.

    Args:
        validation: how many, and by which seed.
        training: how many training examples with a label there are.
    """
    key = np.array([validation.seed, _STREAM], np.uint64)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(training)
    return np.sort(order[: validation.count(training)])


def described(info: DatasetInfo, validation: Validation | None) -> DatasetInfo:
    """A data set of which some training examples are set aside; mean and deviation stay."""
    if validation is None:
        return info
    count = validation.count(info.train_examples - info.unlabelled)
    return replace(info, train_examples=info.train_examples - count, valid_examples=count)


def divided(dataset: Dataset, validation: Validation | None) -> Dataset:
    """The same examples, some of the training set's in the validation set instead.

    Examples without a label are never set aside: nothing could be compared with what is predicted.
    """
    if validation is None:
        return dataset
    images, labels = dataset.train_images, dataset.train_labels
    known = np.flatnonzero(labelled(labels))
    aside = known[set_aside(validation, len(known))]
    rest = np.setdiff1d(np.arange(len(labels)), aside)
    return replace(
        dataset,
        train_images=_picked(images, rest),
        train_labels=labels[rest],
        valid_images=_picked(images, aside),
        valid_labels=labels[aside],
        reading=replace(dataset.reading, evidence=_evidence(dataset.reading)),
    )


def _picked(images: Images, places: NDArray[np.intp]) -> Images:
    return images[places] if isinstance(images, np.ndarray) else _Picked(images, places)


class _Picked:
    """Some images of those that are read when taken."""

    def __init__(self, images: Images, places: NDArray[np.intp]) -> None:
        self._images = images
        self._places = places
        self.dtype = images.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """N, height, width (pixels), channels."""
        return (len(self._places), *self._images.shape[1:])

    def __len__(self) -> int:
        """The number of images."""
        return len(self._places)

    def take(self, indices: NDArray[np.integer], /, axis: int) -> Any:
        """The images at these places among the picked ones."""
        return self._images.take(self._places[indices], axis=axis)

    def __getitem__(self, part: slice, /) -> "_Picked":
        """A range of the images; none of them is read."""
        return _Picked(self._images, self._places[part])

    def evidence(self, reading: Reading) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the evidence of all images and the places of these."""
        whole = np.ascontiguousarray(reading.evidence(self._images))
        digest = hashlib.sha256(whole.data)
        digest.update(self._places.astype("<i8").data)
        return np.frombuffer(digest.digest(), np.uint8)


def _evidence(reading: Reading) -> Any:
    return lambda images: (
        images.evidence(reading) if isinstance(images, _Picked) else reading.evidence(images)
    )
