"""One pass over a data set: how much there is, what is damaged, statistics, how fast it is read."""

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
"""That batches are read for, to tell how many examples a second a run would get."""

_FEWEST = 2
"""Batches that are read whatever the time; the first waits for threads to start."""


@dataclass(frozen=True)
class Numbers:
    """Of one number of a label, over the examples of a part: its mean, deviation and range."""

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
        examples: labels, and so examples.
        damaged: why images could not be read, by place; such images are in no other number here.
        mean: per channel, of pixels scaled to [0, 1].
        std: likewise.
        lowest: pixel of all, scaled to [0, 1].
        highest: likewise.
        constant: images whose pixels are all the same.
        classes: examples of each class; empty where labels are no classes.
        unlabelled: examples without a label.
        numbers: of labels that are no classes.
        seconds: that reading all images took.
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
        """How many images a second were read, one batch after the other."""
        return self.examples / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Inspection:
    """What is in a data set.

    Attributes:
        info: the description that a plan is made from.
        names: of classes, or of the numbers of a label.
        parts: training, validation and test set, as far as there are any.
        batch_size: examples in a batch of training.
        batches_per_s: batches a second that training would be given, as it reads them ahead; None
            if some image is damaged.
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
    """Read everything once, and training batches for some seconds more.

    Args:
        dataset: divided as the spec says.
        info: its description.
        batch_size: examples in a batch of training.
        seed: of the order of training examples.
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
    """Moments of pixels per channel, in float64, that chunks are added to."""

    channels: int
    count: int = 0
    squares: Any = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    constant: int = 0
    mean: Any = field(init=False, default=0.0)

    def add(self, images: NDArray[Any]) -> None:
        """Chan's update of mean and squared deviations, which loses no digits to large sums."""
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
    """The images at these places that can be read; why others cannot is added to `damaged`."""
    try:
        return np.asarray(images.take(places, axis=0))
    except DataError as error:
        if len(places) == 1:
            damaged[int(places[0])] = str(error)
            return np.zeros((0, *images.shape[1:]), images.dtype)
    # Halves, as one damaged image among thousands must not make each of them be read alone.
    halves = (_read(images, half, damaged) for half in np.array_split(places, 2))
    return np.concatenate(list(halves))


def _numbers(labels: AnyLabels, names: Sequence[str]) -> Iterator[Numbers]:
    for name, column in zip(names, labels.T.astype(np.float64), strict=True):
        spread = map(float, (column.mean(), column.std(), column.min(), column.max()))
        yield Numbers(name, *spread)


def _batches_per_s(dataset: Dataset, batch_size: int, seed: int) -> float:
    """Batches a second as training reads them: whole batches, shuffled, ahead of the step."""
    steps = 10**6  # more than some seconds can read
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
