"""Sets training examples aside as a validation set, before anything else uses them."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, Images, Reading, labelled
from fgspec.spec.data import Validation
from fgspec.spec.dataset_info import DatasetInfo

_STREAM = 0x76616C6964
"""The random stream of the split. Training orders use their epoch, which is never so large."""


def set_aside(validation: Validation, training: int) -> NDArray[np.intp]:
    """The indices of the training examples that are set aside, in ascending order.

    Args:
        validation: says how many examples are set aside, and with which seed.
        training: how many training examples have a label.
    """
    key = np.array([validation.seed, _STREAM], np.uint64)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(training)
    return np.sort(order[: validation.count(training)])


def described(info: DatasetInfo, validation: Validation | None) -> DatasetInfo:
    """The description after examples were set aside; mean and deviation stay those of all."""
    if validation is None:
        return info
    count = validation.count(info.train_examples - info.unlabelled)
    return replace(info, train_examples=info.train_examples - count, valid_examples=count)


def divided(dataset: Dataset, validation: Validation | None) -> Dataset:
    """Move some training examples to the validation set.

    Examples without a label are never moved, because no prediction could be compared with them.
    """
    if validation is None:
        return dataset
    images, labels = dataset.train_images, dataset.train_labels
    with_label = np.flatnonzero(labelled(labels))
    aside = with_label[set_aside(validation, len(with_label))]
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
    """A selection of images that are read when they are taken."""

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
        """The selected images with these indices."""
        return self._images.take(self._places[indices], axis=axis)

    def __getitem__(self, part: slice, /) -> "_Picked":
        """A range of the images; none of them is read."""
        return _Picked(self._images, self._places[part])

    def evidence(self, reading: Reading) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the evidence of all images and the indices of the selected ones."""
        whole = np.ascontiguousarray(reading.evidence(self._images))
        digest = hashlib.sha256(whole.data)
        digest.update(self._places.astype("<i8").data)
        return np.frombuffer(digest.digest(), np.uint8)


def _evidence(reading: Reading) -> Any:
    return lambda images: (
        images.evidence(reading) if isinstance(images, _Picked) else reading.evidence(images)
    )
