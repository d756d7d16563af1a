"""Batches addressed by step, so that a position in the data is one number.

A record that Grain reads is a whole batch: Grain costs about 20 us of Python a record, which is
dear for one image and nothing for a batch.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypedDict

import grain
import grain.experimental
import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import IN_MEMORY, AnyLabels, Dataset, Images, Pixels, Reading
from fgspec.errors import DataError

Rows = NDArray[np.intp] | None
"""Places in a batch; None is all."""


class Batch(TypedDict):
    """Examples of one step: `image` [B, H, W, C] and `label` of each, like the data set's."""

    image: Pixels
    label: AnyLabels


class Examples(TypedDict):
    """Examples of a part of a data set: `image` [B, H, W, C], perhaps not read yet; `label`."""

    image: Images
    label: AnyLabels


class Chosen(TypedDict):
    """Examples of one step by their places in the training set: `index` [B], int32.

    Beside them `examples`, the places of the whole batch, of which `index` may be some rows.
    """

    index: NDArray[np.int32]
    examples: NDArray[np.int32]


class Identified(Batch):
    """A batch, and `examples` [B]: places in the training set of the whole batch."""

    examples: NDArray[np.int32]


class TrainBatches:
    """The batches of a training run; a batch is a function of the seed and the step alone.

    Each epoch is a permutation of the examples, drawn anew; its partial last batch is dropped.

    Args:
        images: [N, H, W, C].
        labels: of N images.
        batch_size: examples a batch.
        seed: from 0 to 2**64 - 1.
        total_steps: batches of the whole run, the length of this sequence; it changes no batch.
        rows: places in every batch that are read here, where other processes read the others.

    Raises:
        DataError: a batch is larger than the data set.
    """

    def __init__(
        self,
        images: Images,
        labels: AnyLabels,
        batch_size: int,
        seed: int,
        total_steps: int,
        rows: Rows = None,
    ) -> None:
        if batch_size > len(images):
            raise DataError(
                f"data.batch_size: {batch_size} is larger than the training set; give at most "
                f"{len(images)}"
            )
        self.steps_per_epoch = len(images) // batch_size
        self._images = images
        self._labels = labels
        self._batch_size = batch_size
        self._total_steps = total_steps
        self._rows = rows
        # Two, as prefetching reaches into the next epoch while the present one is still read.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(len(images), seed, epoch))

    def __len__(self) -> int:
        """The number of steps of the run."""
        return self._total_steps

    def __getitem__(self, index: int) -> Batch:
        """The batch of step `index`, from 0 to `len(self) - 1`, in arrays of its own."""
        if not 0 <= index < self._total_steps:
            raise IndexError(f"step {index} of a run of {self._total_steps} steps")
        return self.of(self.chosen(index))

    def chosen(self, index: int) -> NDArray[np.int32]:
        """The places in the training set of the examples of step `index` that are read, [B]."""
        return self.read_of(self.examples(index))

    def examples(self, index: int) -> NDArray[np.int32]:
        """The places of all examples of step `index`, those that others read too."""
        epoch, position = divmod(index, self.steps_per_epoch)
        start = position * self._batch_size
        return self._order(epoch)[start : start + self._batch_size].astype(np.int32)

    def read_of(self, examples: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of a batch's examples that are read here."""
        return examples if self._rows is None else examples[self._rows]

    def of(self, chosen: NDArray[np.int32]) -> Batch:
        """The examples at these places, in arrays of their own."""
        return {
            "image": self._images.take(chosen, axis=0),
            "label": self._labels.take(chosen, axis=0),
        }


class IdentifiedBatches:
    """Training batches that carry the places of their examples.

    What a step consumed is so known from the batch that reached it: one that was lost or came
    twice on the way is noticed.
    """

    def __init__(self, batches: TrainBatches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        """The number of steps of the run."""
        return len(self._batches)

    def __getitem__(self, index: int) -> Identified:
        """The batch of step `index`."""
        examples = self._batches.examples(index)
        return {**self._batches.of(self._batches.read_of(examples)), "examples": examples}


def epoch_order(examples: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order, [examples], in which an epoch visits the examples."""
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(examples)


def train_batches(
    batches: TrainBatches | IdentifiedBatches, start_step: int, reading: Reading = IN_MEMORY
) -> grain.DatasetIterator[Any]:
    """Iterates over the training batches from `start_step` on, without reading those before.

    Threads read ahead; `close()` of the iterator ends them.

    Raises:
        IndexError: `start_step` is not from 0 to the number of steps.
        DataError: from `next`: an image is damaged.
    """
    ahead = grain.ReadOptions(num_threads=reading.threads, prefetch_buffer_size=reading.ahead)
    source: Any = batches
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(ahead))
    grain.experimental.set_next_index(iterator, start_step)
    return iterator


def chosen_examples(batches: TrainBatches, start_step: int) -> Iterator[Chosen]:
    """What `train_batches` gives, as places in a training set that is elsewhere already."""
    for step in range(start_step, len(batches)):
        examples = batches.examples(step)
        yield {"index": batches.read_of(examples), "examples": examples}


NOTHING_CONSUMED = "0" * 32
"""The hash of no examples."""


def consumed(before: str, examples: NDArray[np.int32]) -> str:
    """The hash of all examples that a run consumed, in their order, after a batch more.

    A run of any number of processes on any mesh has the same hash at the same step.

    Args:
        before: the hash before the batch.
        examples: [B], places in the training set of the whole batch.
    """
    ids = np.ascontiguousarray(examples, np.dtype("<i4"))
    return hashlib.sha256(before.encode() + ids.tobytes()).hexdigest()[: len(NOTHING_CONSUMED)]


def evaluation_batches(images: Images, labels: AnyLabels, batch_size: int) -> Iterator[Examples]:
    """Yields every example once, in order; the last batch may be smaller.

    What must be read is read by who takes it, who may need some rows alone. Nothing is padded: a
    smaller last batch is compiled once more.

    Args:
        images: [N, H, W, C].
        labels: of N images.
        batch_size: examples a batch, at least 1.
    """
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        yield {"image": images[part], "label": labels[part]}


def fingerprint(dataset: Dataset, batch_size: int, seed: int) -> str:
    """A SHA-256 in hex that changes with anything that could change a batch of some step.

    Covers contents, shapes and dtypes of images and labels, batch size, seed, and the order of the
    first epoch, as NumPy may change between its versions how a permutation is drawn. Of images in
    files, not all contents: `ImageFiles.evidence`.
    """
    parts = _evidence(dataset)
    order = epoch_order(len(dataset.train_labels), seed, epoch=0)
    parts["order"] = (order, order)
    layout = {name: (part.dtype.str, part.shape) for name, (part, _) in parts.items()}
    digest = hashlib.sha256(json.dumps([layout, batch_size, seed]).encode())
    for _, contents in parts.values():
        digest.update(np.ascontiguousarray(contents).data)
    return digest.hexdigest()


def part_digests(dataset: Dataset) -> dict[str, str]:
    """A SHA-256 in hex of each part of a data set, to say which of them is another."""
    found: dict[str, str] = {}
    for name, (part, contents) in _evidence(dataset).items():
        digest = hashlib.sha256(json.dumps([part.dtype.str, part.shape]).encode())
        digest.update(np.ascontiguousarray(contents).data)
        found[name] = digest.hexdigest()
    return found


def _evidence(dataset: Dataset) -> dict[str, tuple[Any, NDArray[Any]]]:
    """Each part of a data set, and an array that is another where its contents are."""
    evidence = dataset.reading.evidence
    parts = {
        "train_images": (dataset.train_images, evidence(dataset.train_images)),
        "train_labels": (dataset.train_labels, dataset.train_labels),
        "test_images": (dataset.test_images, evidence(dataset.test_images)),
        "test_labels": (dataset.test_labels, dataset.test_labels),
    }
    if len(dataset.valid_labels):
        parts["valid_images"] = (dataset.valid_images, evidence(dataset.valid_images))
        parts["valid_labels"] = (dataset.valid_labels, dataset.valid_labels)
    return parts
