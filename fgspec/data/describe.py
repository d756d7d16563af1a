"""What a plan needs to know of a data set, as far as possible without reading it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fgspec.data.dataset import Images
from fgspec.data.npz import read_npz
from fgspec.spec.data import Npz, Source, Synthetic

_MOMENT_CHUNK = 1024


@dataclass(frozen=True)
class DatasetInfo:
    """Shape, size and pixel statistics of a data set.

    Attributes:
        name: short name, for logs.
        image_shape: height, width (pixels), channels.
        classes: number of classes; labels run from 0 to classes - 1.
        train_examples: number of training images.
        test_examples: number of test images.
        mean: per channel, of training pixels scaled to [0, 1].
        std: per channel, positive, of training pixels scaled to [0, 1]; 1 for a constant channel,
            so that it can always be divided by.
        pixels: dtype of the images.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    train_examples: int
    test_examples: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels: Literal["uint8", "float32"] = "uint8"


DIGITS = DatasetInfo("digits", (8, 8, 1), 10, 1437, 360, (0.3054,), (0.3760,))
MNIST = DatasetInfo("mnist", (28, 28, 1), 10, 60_000, 10_000, (0.1307,), (0.3081,))
# The deviations are those in common use; they average each image's own deviation. Over all pixels
# at once the training images have (0.2470, 0.2435, 0.2616).
CIFAR10 = DatasetInfo(
    "cifar10",
    (32, 32, 3),
    10,
    50_000,
    10_000,
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
)

Search = Sequence[Path] | None
_Describer = Callable[[Any, Search], DatasetInfo]


def describe(source: Source, search: Search = None) -> DatasetInfo:
    """Describes a data set; only `npz` reads files.

    The counts of `mnist` and `cifar10` are the published ones, which `verify: true` enforces.

    Args:
        source: the source as the spec gives it.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: the archive of an `npz` source is missing or not what it should be.
    """
    return _DESCRIBERS[source.type](source, search)


def _fixed(info: DatasetInfo) -> _Describer:
    return lambda source, search: info


def _describe_synthetic(source: Synthetic, search: Search) -> DatasetInfo:
    # Of the sum of two independent uniform integers, 0 to 127 and 0 to 128, divided by 255.
    channels = source.image[-1]
    return DatasetInfo(
        name="synthetic",
        image_shape=source.image,
        classes=source.classes,
        train_examples=source.train_examples,
        test_examples=source.test_examples,
        mean=(0.5,) * channels,
        std=(0.2057,) * channels,
    )


def _describe_npz(source: Npz, search: Search) -> DatasetInfo:
    dataset = read_npz(source, search)
    height, width, channels = dataset.train_images.shape[1:]
    mean, std = _moments(dataset.train_images)
    return DatasetInfo(
        name=Path(source.path).stem,
        image_shape=(height, width, channels),
        classes=int(dataset.train_labels.max()) + 1,
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        mean=mean,
        std=std,
    )


def _moments(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], in float64.

    Works on a chunk of images at a time, as the whole in float64 takes 8 bytes a pixel.
    """
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    pixels = images[..., 0].size
    chunks = range(0, len(images), _MOMENT_CHUNK)
    total = np.zeros(images.shape[-1])
    for start in chunks:
        total += images[start : start + _MOMENT_CHUNK].sum(axis=(0, 1, 2), dtype=np.float64)
    mean = total / pixels / scale
    squares = np.zeros(images.shape[-1])
    for start in chunks:
        chunk = images[start : start + _MOMENT_CHUNK].astype(np.float64) / scale
        squares += ((chunk - mean) ** 2).sum(axis=(0, 1, 2))
    std = np.sqrt(squares / pixels)
    constant = images.min(axis=(0, 1, 2)) == images.max(axis=(0, 1, 2))
    return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())


_DESCRIBERS: Mapping[str, _Describer] = {
    "digits": _fixed(DIGITS),
    "mnist": _fixed(MNIST),
    "cifar10": _fixed(CIFAR10),
    "npz": _describe_npz,
    "synthetic": _describe_synthetic,
}
