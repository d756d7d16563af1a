"""Checks the images that are given to a trained model."""

from typing import Any

import numpy as np

from fgspec.data.dataset import Images, Pixels
from fgspec.errors import UserError
from fgspec.spec.dataset_info import DatasetInfo


def checked(images: Any, info: DatasetInfo) -> Images:
    """Check that images have the shape and the dtype that a model takes.

    Args:
        images: [n, height, width, channels], an array, or an object that reads them when they are
            taken. The last axis may be left out if there is one channel.
        info: the description of the data that the model was trained with.

    Raises:
        UserError: the images have another shape or dtype.
    """
    # Arrays of other libraries have methods with these names that do something else.
    if not isinstance(getattr(images, "dtype", None), np.dtype):
        images = np.asarray(images)
    height, width, channels = info.image_shape
    expected = f"[n, {height}, {width}, {channels}]"
    shape = tuple(images.shape)
    if channels == 1 and shape[1:] == (height, width):
        images, shape = images[..., None], (*shape, 1)
    if shape[1:] != info.image_shape:
        hint = ""
        if shape == info.image_shape or (channels == 1 and shape == (height, width)):
            hint = "; for a single image give images[None]"
        elif len(shape) == 4 and shape[1:] == (channels, height, width):
            hint = "; channels must come last: give numpy.moveaxis(images, 1, -1)"
        raise UserError(f"images: must be {expected}, like the run's (got {list(shape)}){hint}")
    if images.dtype not in (np.uint8, np.float32):
        cast = "uint8" if images.dtype.kind in "iu" else "float32"
        raise UserError(
            f"images: must be uint8, or float32 from 0 to 1 (got {images.dtype}); if their values "
            f'are in that range, give images.astype("{cast}")'
        )
    return images


def taken(images: Images, part: slice) -> Pixels:
    """A range of the images, in a new array.

    Raises:
        UserError: floats are outside of [0, 1].
        DataError: a file is damaged.
    """
    some = images[part]
    pixels = np.asarray(some.take(np.arange(len(some)), axis=0))
    if pixels.dtype == np.float32 and pixels.size:
        low, high = pixels.min(), pixels.max()
        if not (low >= 0 and high <= 1):
            values = "NaN" if np.isnan(low) else f"values from {low:g} to {high:g}"
            raise UserError(
                f"images: floats must be from 0 to 1 (got {values}); scale them to [0, 1], or give "
                "uint8"
            )
    return pixels
