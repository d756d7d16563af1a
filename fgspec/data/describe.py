"""What a plan needs to know of a data set, as far as possible without reading it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgspec.data.dataset import Pixels, spread
from fgspec.data.image_folder import read_image_folder
from fgspec.data.npz import read_npz
from fgspec.spec.data import ImageFolder, Npz, Source, Synthetic
from fgspec.spec.dataset_info import DatasetInfo

_MOMENT_CHUNK = 1024
_MOMENT_VALUES = 2**23
_MOMENT_SAMPLE = 1024


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
# The constants that published models are trained with; like those of CIFAR10, and of a part of the
# training images only (github.com/pytorch/vision/pull/1965). Over all pixels the deviations are
# (0.28, 0.27, 0.29).
IMAGENET = DatasetInfo(
    "imagenet",
    (224, 224, 3),
    1000,
    1_281_167,
    50_000,
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)

Search = Sequence[Path] | None
_Describer = Callable[[Any, Search], DatasetInfo]


def describe(source: Source, search: Search = None) -> DatasetInfo:
    """Describes a data set; only `npz` and `image_folder` read files.

    The counts of `mnist`, `cifar10` and `imagenet` are the published ones, which `verify: true`
    enforces.

    Args:
        source: the source as the spec gives it.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: the files of an `npz` or `image_folder` are missing or not what they should be.
        UserError: an `image_folder` needs Pillow, which is not installed.
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
    mean, std = _moments(np.asarray(dataset.train_images))
    return DatasetInfo(
        name=Path(source.path).stem,
        image_shape=(height, width, channels),
        classes=int(dataset.train_labels.max()) + 1,
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        mean=mean,
        std=std,
    )


def _describe_image_folder(source: ImageFolder, search: Search) -> DatasetInfo:
    dataset = read_image_folder(source, search)
    mean, std = source.mean, source.std
    if mean is None or std is None:
        mean, std = _moments(spread(dataset.train_images, _MOMENT_SAMPLE))
    return DatasetInfo(
        name=Path(source.path).name,
        image_shape=(source.size, source.size, 3),
        classes=int(dataset.train_labels.max()) + 1,
        train_examples=len(dataset.train_labels),
        test_examples=len(dataset.test_labels),
        mean=mean,
        std=std,
    )


def _moments(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], in float64.

    Works on a chunk of images at a time, as the whole in float64 takes 8 bytes a pixel.
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


_DESCRIBERS: Mapping[str, _Describer] = {
    "digits": _fixed(DIGITS),
    "mnist": _fixed(MNIST),
    "cifar10": _fixed(CIFAR10),
    "imagenet": _fixed(IMAGENET),
    "image_folder": _describe_image_folder,
    "npz": _describe_npz,
    "synthetic": _describe_synthetic,
}
