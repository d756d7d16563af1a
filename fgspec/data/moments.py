"""Describes a data set by what was read, if its mean and deviation are not published."""

import numpy as np

from fgspec.data.dataset import Dataset, Images, Pixels, labelled, spread
from fgspec.spec.dataset_info import DatasetInfo, LabelKind

_MOMENT_CHUNK = 1024
_MOMENT_VALUES = 2**23
_SAMPLED = 1024
"""How many images are used for mean and deviation, if images are decoded for each batch."""

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel."""


def measured(
    name: str, dataset: Dataset, given: Moments | None = None, label: LabelKind = "class"
) -> DatasetInfo:
    """Describe a data set that was read; classes are numbered from 0 to the greatest label.

    Args:
        name: the name of the data set.
        dataset: the data set to describe.
        given: mean and deviation; None measures them on the training images.
        label: what the label of an image is.
    """
    images = dataset.train_images
    height, width, channels = images.shape[1:]
    mean, std = given or moments_of(images)
    labels = dataset.train_labels
    numbers = labels.shape[1] if labels.ndim > 1 else 0
    greatest = 0 if numbers else max(labels.max(), dataset.test_labels.max(), 1) + 1
    return DatasetInfo(
        name=name,
        image_shape=(height, width, channels),
        classes=int(greatest),
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        mean=mean,
        std=std,
        pixels="uint8" if images.dtype == np.uint8 else "float32",
        label=label,
        numbers=numbers,
        label_square=float(np.square(labels, dtype=np.float64).sum() / len(labels)) * bool(numbers),
        unlabelled=int((~labelled(labels)).sum()),
    )


def moments_of(images: Images) -> Moments:
    """Mean and standard deviation per channel; images in files are sampled, 1,024 of them."""
    return moments(images if isinstance(images, np.ndarray) else spread(images, _SAMPLED))


def moments(images: Pixels) -> Moments:
    """Mean and standard deviation per channel of pixels scaled to [0, 1], in float64.

    Images are processed in chunks, because float64 takes 8 bytes per value. Where a channel is
    constant, its deviation is given as 1.
    """
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    pixels = images[..., 0].size
    chunk_size = max(1, min(_MOMENT_CHUNK, _MOMENT_VALUES // images[0].size))
    chunks = range(0, len(images), chunk_size)
    total = np.zeros(images.shape[-1])
    for start in chunks:
        total += images[start : start + chunk_size].sum(axis=(0, 1, 2), dtype=np.float64)
    mean = total / pixels / scale
    squares = np.zeros(images.shape[-1])
    for start in chunks:
        chunk = images[start : start + chunk_size].astype(np.float64) / scale
        squares += ((chunk - mean) ** 2).sum(axis=(0, 1, 2))
    std = np.sqrt(squares / pixels)
    constant = images.min(axis=(0, 1, 2)) == images.max(axis=(0, 1, 2))
    return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())
