"""The two encodings in which CIFAR, and other sets after it, publish images of 32x32 pixels."""

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import checked_labels
from fgspec.data.numpy_pickle import load_numpy_pickle

PIXELS = 3 * 32 * 32
"""Bytes of an image: one for each channel of each pixel."""

Decoded = tuple[NDArray[np.uint8], NDArray[np.int32]]
"""Images [N, 32, 32, 3] and labels [N]."""


def planes_to_images(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn rows of a red, a green and a blue plane, [N, 3072], into images, [N, 32, 32, 3]."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def from_batch(content: bytes, field: str, classes: int, first: int = 0) -> Decoded:
    """The images and labels of a pickled dictionary.

    Args:
        content: a pickled dictionary with `data`, [N, 3072] uint8, and lists of labels.
        field: the key of the list of labels to read.
        classes: the number of classes.
        first: the label of the first class.

    Raises:
        ValueError: the pickle is damaged, or does not have these contents.
    """
    batch = load_numpy_pickle(content)
    if not isinstance(batch, dict) or not {"data", field} <= batch.keys():
        raise ValueError(f"it is not a dictionary with the keys 'data' and '{field}'")
    data, labels = batch["data"], batch[field]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (PIXELS,):
        raise ValueError(f"its 'data' is not a uint8 array of the shape [N, {PIXELS}]")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"its '{field}' is not a list of integers")
    if not labels or len(labels) != len(data):
        raise ValueError(f"it holds {len(data)} images and {len(labels)} labels")
    return planes_to_images(data), checked_labels(np.asarray(labels), classes, first)


def from_records(content: bytes, label_bytes: int, label: int, classes: int) -> Decoded:
    """The images and labels of a binary file of records.

    Args:
        content: the records; each has one or more labels of one byte, then 3,072 bytes of pixels.
        label_bytes: how many labels a record has.
        label: the index of the label to read.
        classes: the number of classes.

    Raises:
        ValueError: the file is cut off, or a label is not one of the classes.
    """
    record = label_bytes + PIXELS
    if not content or len(content) % record:
        raise ValueError(f"it has {len(content)} bytes, expected a multiple of {record}")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = checked_labels(records[:, label], classes)
    return planes_to_images(records[:, label_bytes:]), labels
