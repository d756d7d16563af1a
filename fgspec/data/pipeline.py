"""Batches by step number, so that a single number is a position in the data.

Grain reads whole batches as its records. It needs about 20 us of Python per record, which is much
for an image and negligible for a batch.
"""

import hashlib
import importlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import IN_MEMORY, AnyLabels, Dataset, Images, Pixels, Reading
from fgspec.errors import DataError

if TYPE_CHECKING:
    import grain

GRAIN = "grain.experimental"
"""What takes long to import, so that a run imports it while XLA compiles."""

Rows = NDArray[np.intp] | None
"""Indices of rows of a batch; None means all."""


class Batch(TypedDict):
    """The examples of one step: `image` [B, H, W, C], and `label` in the form of the data set."""

    image: Pixels
    label: AnyLabels


class Examples(TypedDict):
    """Examples of a part of a data set: `image` [B, H, W, C], possibly not read yet; `label`."""

    image: Images
    label: AnyLabels


class Chosen(TypedDict):
    """The examples of one step, as indices into the training set: `index` [B], int32.

    `examples` has the indices of the whole batch, of which `index` may have only some rows.
    """

    index: NDArray[np.int32]
    examples: NDArray[np.int32]


class Identified(Batch):
    """A batch with `examples` [B], the indices of the whole batch in the training set."""

    examples: NDArray[np.int32]


class TrainBatches:
    """The batches of a training run; a batch depends only on the seed and the step.

    Each epoch visits the examples in a new random order. A last batch that is not full is dropped.

    Args:
        images: [N, H, W, C].
        labels: the labels of N images.
        batch_size: how many examples a batch has.
        seed: from 0 to 2**64 - 1.
        total_steps: the number of batches of the whole run, which is the length of this sequence.
            It does not change any batch.
        rows: the indices of the rows of every batch that this process reads, if other processes
            read the others; None means all.

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
        # Keep two orders, because prefetching begins the next epoch while this one is still read.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(len(images), seed, epoch))

    def __len__(self) -> int:
        """The number of steps of the run."""
        return self._total_steps

    def __getitem__(self, index: int) -> Batch:
        """The batch of step `index`, from 0 to `len(self) - 1`, in new arrays."""
        if not 0 <= index < self._total_steps:
            raise IndexError(f"step {index} of a run of {self._total_steps} steps")
        return self.of(self.chosen(index))

    def chosen(self, index: int) -> NDArray[np.int32]:
        """The examples of step `index` that this process reads, as indices, [B]."""
        return self.read_of(self.examples(index))

    def examples(self, index: int) -> NDArray[np.int32]:
        """All examples of step `index` as indices, including those that other processes read."""
        epoch, position = divmod(index, self.steps_per_epoch)
        start = position * self._batch_size
        return self._order(epoch)[start : start + self._batch_size].astype(np.int32)

    def read_of(self, examples: NDArray[np.int32]) -> NDArray[np.int32]:
        """The examples of a batch that this process reads."""
        return examples if self._rows is None else examples[self._rows]

    def of(self, chosen: NDArray[np.int32]) -> Batch:
        """The examples with these indices, in new arrays."""
        return {
            "image": self._images.take(chosen, axis=0),
            "label": self._labels.take(chosen, axis=0),
        }


class IdentifiedBatches:
    """Training batches that carry the indices of their examples.

    The run so knows which examples a step consumed from the batch that it got, and notices a batch
    that was lost or delivered twice.
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
) -> "grain.DatasetIterator[Any]":
    """Iterate over the training batches from `start_step` on, without reading earlier ones.

    Threads read ahead; the iterator's `close()` stops them.

    Raises:
        IndexError: `start_step` is not from 0 to the number of steps.
        DataError: `next` raises it if an image is damaged.
    """
    experimental, grain = importlib.import_module(GRAIN), importlib.import_module("grain")
    ahead = grain.ReadOptions(num_threads=reading.threads, prefetch_buffer_size=reading.ahead)
    iterator = iter(grain.MapDataset.source(batches).to_iter_dataset(ahead))
    experimental.set_next_index(iterator, start_step)
    return iterator


def chosen_examples(batches: TrainBatches, start_step: int) -> Iterator[Chosen]:
    """The batches of `train_batches` as indices, for a training set that is on the device."""
    for step in range(start_step, len(batches)):
        examples = batches.examples(step)
        yield {"index": batches.read_of(examples), "examples": examples}


NOTHING_CONSUMED = "0" * 32
"""The hash before any example was consumed."""


def consumed(before: str, examples: NDArray[np.int32]) -> str:
    """The hash of all examples that a run has consumed in order, updated by one batch.

    At the same step, runs with any number of processes and any mesh have the same hash.

    Args:
        before: the hash before the batch.
        examples: [B], the indices of the whole batch in the training set.
    """
    ids = np.ascontiguousarray(examples, np.dtype("<i4"))
    return hashlib.sha256(before.encode() + ids.tobytes()).hexdigest()[: len(NOTHING_CONSUMED)]


def evaluation_batches(images: Images, labels: AnyLabels, batch_size: int) -> Iterator[Examples]:
    """Yield every example once, in order; the last batch may be smaller.

    Images in files are read by the caller, who may need only some rows. Nothing is padded, so a
    smaller last batch is compiled separately.

    Args:
        images: [N, H, W, C].
        labels: the labels of N images.
        batch_size: how many examples a batch has, at least 1.
    """
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        yield {"image": images[part], "label": labels[part]}


def fingerprint(dataset: Dataset, batch_size: int, seed: int) -> str:
    """A SHA-256 in hex that changes with everything that could change a batch.

    It covers the contents, shapes and dtypes of images and labels, the batch size, the seed, and
    the order of the first epoch, because another version of NumPy may draw other permutations. For
    images in files it covers only part of the contents, see `ImageFiles.evidence`.
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
    """A SHA-256 in hex of each part of a data set, to tell which of them has changed."""
    digests: dict[str, str] = {}
    for name, (part, contents) in _evidence(dataset).items():
        digest = hashlib.sha256(json.dumps([part.dtype.str, part.shape]).encode())
        digest.update(np.ascontiguousarray(contents).data)
        digests[name] = digest.hexdigest()
    return digests


def _evidence(dataset: Dataset) -> dict[str, tuple[Any, NDArray[Any]]]:
    """Each part of a data set, and an array that differs if its contents differ."""
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
