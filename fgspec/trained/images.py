"""Images as a trained model takes them."""

from typing import Any

import numpy as np

from fgspec.data.dataset import Images, Pixels
from fgspec.errors import UserError
from fgspec.spec.dataset_info import DatasetInfo


def checked(images: Any, info: DatasetInfo) -> Images:
    """Images, if they have the shape and the dtype that a model takes.

    Args:
        images: [n, height, width, channels], without the last axis where there is one channel:
            an array, or what reads them when taken.
        info: of the data that the model was trained with.

    Raises:
        UserError: their shape or dtype is another.
    """
    # Arrays of other libraries have methods of these names that do something else.
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
            hint = "; of a single image give images[None]"
        elif len(shape) == 4 and shape[1:] == (channels, height, width):
            hint = "; channels come last: give numpy.moveaxis(images, 1, -1)"
        raise UserError(f"images: must be {expected}, as the run's are (got {list(shape)}){hint}")
    if images.dtype not in (np.uint8, np.float32):
        cast = "uint8" if images.dtype.kind in "iu" else "float32"
        raise UserError(
            f"images: must be uint8, or float32 from 0 to 1 (got {images.dtype}); if that is what "
            f'they hold, give images.astype("{cast}")'
        )
    return images


def taken(images: Images, part: slice) -> Pixels:
    """A range of the images in an array of their own.

    Raises:
        UserError: floats are not from 0 to 1.
        DataError: a file is damaged.
    """
    some = images[part]
    found = np.asarray(some.take(np.arange(len(some)), axis=0))
    if found.dtype == np.float32 and found.size:
        low, high = found.min(), found.max()
        if not (low >= 0 and high <= 1):
            said = "NaN" if np.isnan(low) else f"values from {low:g} to {high:g}"
            raise UserError(
                f"images: floats must lie from 0 to 1 (got {said}); divide them, or give uint8"
            )
    return found
