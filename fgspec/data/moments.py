"""Mean and deviation of pixels, for sources that no one has published them for."""

import numpy as np

from fgspec.data.dataset import Pixels

_MOMENT_CHUNK = 1024
_MOMENT_VALUES = 2**23


def moments(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
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
