"""Reads a whole data set once: counts, damaged images, statistics, and the speed of reading."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import AnyLabels, Dataset, Images, labelled
from fgspec.data.pipeline import IdentifiedBatches, TrainBatches, train_batches
from fgspec.errors import DataError
from fgspec.spec.dataset_info import DatasetInfo

_AT_ONCE = 32 * 2**20
"""Bytes of pixels that are read at a time."""

_SECONDS = 3.0
"""Seconds for which batches are read, to measure how many a run would get per second."""

_FEWEST = 2
"""Batches that are read however long they take; the first one waits for threads to start."""


@dataclass(frozen=True)
class Numbers:
    """The mean, standard deviation and range of one number of the labels in a part."""

    name: str
    mean: float
    std: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Part:
    """What was found in the training, validation or test set.

    Attributes:
        name: `train`, `valid` or `test`.
        examples: the number of labels, which is the number of examples.
        damaged: why images could not be read, by index. Statistics of pixels leave them out.
        mean: the mean of the pixels per channel, scaled to [0, 1].
        std: their standard deviation per channel, scaled likewise.
        lowest: the lowest pixel value, scaled to [0, 1].
        highest: the highest pixel value, scaled to [0, 1].
        constant: how many images consist of equal pixels.
        classes: how many examples each class has; empty if labels are not classes.
        unlabelled: how many examples have no label.
        numbers: the statistics of labels that are not classes.
        seconds: how long it took to read all images.
    """

    name: str
    examples: int
    damaged: Mapping[int, str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    lowest: float
    highest: float
    constant: int
    classes: tuple[int, ...]
    unlabelled: int
    numbers: tuple[Numbers, ...]
    seconds: float

    @property
    def examples_per_s(self) -> float:
        """How many images were read per second, one batch after the other."""
        return self.examples / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Inspection:
    """What is in a data set.

    Attributes:
        info: the description that a plan is made from.
        names: the names of the classes, or of the numbers of a label.
        parts: the training, validation and test set; those without examples are left out.
        batch_size: how many examples a training batch has.
        batches_per_s: how many batches per second training would get, read ahead of the step; None
            if an image is damaged.
    """

    info: DatasetInfo
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    batch_size: int
    batches_per_s: float | None

    @property
    def damaged(self) -> int:
        """How many images cannot be read."""
        return sum(len(part.damaged) for part in self.parts)


def inspected(dataset: Dataset, info: DatasetInfo, batch_size: int, seed: int) -> Inspection:
    """Read every image once, and then training batches for some seconds.

    Args:
        dataset: the data set, after the spec's validation set was set aside.
        info: the description of the data set.
        batch_size: how many examples a training batch has.
        seed: the seed of the order of training examples.
    """
    sets = {
        "train": (dataset.train_images, dataset.train_labels),
        "valid": (dataset.valid_images, dataset.valid_labels),
        "test": (dataset.test_images, dataset.test_labels),
    }
    names = dataset.names or tuple(map(str, range(info.width)))
    parts = tuple(
        _part(name, images, labels, info, names)
        for name, (images, labels) in sets.items()
        if len(labels)
    )
    damaged = any(part.damaged for part in parts)
    rate = None if damaged else _batches_per_s(dataset, batch_size, seed)
    return Inspection(info, names, parts, batch_size, rate)


@dataclass
class _Sums:
    """Running moments of pixels per channel, in float64."""

    channels: int
    count: int = 0
    squares: Any = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    constant: int = 0
    mean: Any = field(init=False, default=0.0)

    def add(self, images: NDArray[Any]) -> None:
        """Add a chunk of images, by Chan's stable update of the mean and squared deviations."""
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        pixels = images.reshape(-1, self.channels).astype(np.float64) / scale
        count, mean = len(pixels), pixels.mean(0)
        gap, whole = mean - self.mean, self.count + count
        self.squares += np.square(pixels - mean).sum(0) + gap**2 * self.count * count / whole
        self.mean = self.mean + gap * count / whole
        self.count = whole
        flat = images.reshape(len(images), -1)
        low, high = flat.min(1), flat.max(1)
        self.constant += int((low == high).sum())
        self.lowest = min(self.lowest, float(low.min()) / scale)
        self.highest = max(self.highest, float(high.max()) / scale)


def _part(
    name: str, images: Images, labels: AnyLabels, info: DatasetInfo, names: Sequence[str]
) -> Part:
    sums, damaged = _Sums(images.shape[-1]), dict[int, str]()
    seconds = 0.0
    for places in _chunks(images):
        began = time.perf_counter()
        pixels = _read(images, places, damaged)
        seconds += time.perf_counter() - began
        if len(pixels):
            sums.add(pixels)
    std = np.sqrt(sums.squares / max(sums.count, 1)) * np.ones(sums.channels)
    classes = (
        np.bincount(labels[labelled(labels)], minlength=info.classes)
        if info.label == "class"
        else ()
    )
    return Part(
        name=name,
        examples=len(labels),
        damaged=damaged,
        mean=tuple(map(float, sums.mean * np.ones(sums.channels))),
        std=tuple(map(float, std)),
        lowest=sums.lowest,
        highest=sums.highest,
        constant=sums.constant,
        classes=tuple(map(int, classes)),
        unlabelled=int((~labelled(labels)).sum()),
        numbers=() if info.label == "class" else tuple(_numbers(labels, names)),
        seconds=seconds,
    )


def _chunks(images: Images) -> Iterator[NDArray[np.intp]]:
    size = int(np.prod(images.shape[1:])) * images.dtype.itemsize
    count = max(1, _AT_ONCE // size)
    for start in range(0, len(images), count):
        yield np.arange(start, min(start + count, len(images)))


def _read(images: Images, places: NDArray[np.intp], damaged: dict[int, str]) -> NDArray[Any]:
    """The images with these indices that can be read; `damaged` gets why the others cannot."""
    try:
        return np.asarray(images.take(places, axis=0))
    except DataError as error:
        if len(places) == 1:
            damaged[int(places[0])] = str(error)
            return np.zeros((0, *images.shape[1:]), images.dtype)
    # Try each half, so that one damaged image among thousands does not make all be read one by one.
    halves = (_read(images, half, damaged) for half in np.array_split(places, 2))
    return np.concatenate(list(halves))


def _numbers(labels: AnyLabels, names: Sequence[str]) -> Iterator[Numbers]:
    for name, column in zip(names, labels.T.astype(np.float64), strict=True):
        spread = map(float, (column.mean(), column.std(), column.min(), column.max()))
        yield Numbers(name, *spread)


def _batches_per_s(dataset: Dataset, batch_size: int, seed: int) -> float:
    """Batches per second as training reads them: whole batches, shuffled, ahead of the step."""
    steps = 10**6  # more than can be read in the time
    batches = TrainBatches(
        dataset.train_images, dataset.train_labels, batch_size, seed, total_steps=steps
    )
    read = 0
    with closing(train_batches(IdentifiedBatches(batches), 0, dataset.reading)) as reading:
        next(reading)
        began = time.perf_counter()
        while read < _FEWEST or time.perf_counter() - began < _SECONDS:
            next(reading)
            read += 1
        return read / (time.perf_counter() - began)
