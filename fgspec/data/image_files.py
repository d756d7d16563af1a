"""Images in files, decoded when a batch needs them; needs Pillow, from the extra `images`."""

import hashlib
import importlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Reading, spread
from fgspec.errors import DataError, UserError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Endings of the file names of images. How a file is decoded depends on its content alone."""

# Only these formats are read, so that flaws in Pillow's many other decoders cannot be used.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_KNOWN = "JPEG, PNG, WEBP or BMP"
_EXPECTED_DEPTH = "expected 8 bits per channel"
_SAVE_8 = "save it with 8 bits per channel"
_REPLACE = "put an intact copy in its place"
_SAMPLED = 32
"""How many images of a set are decoded to compute its evidence."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD, _PNG_DEPTH = 26, 24
"""Bytes of a PNG up to its colour type, and the index of the byte with the bits per channel."""


class ImageFiles:
    """Images [N, size, size, 3], uint8, that are decoded when they are taken.

    The central square of every image is resized by antialiased bicubic interpolation. All methods
    may be called from many threads. Images are decoded on all cores.

    Args:
        root: the folder that file names are relative to.
        names: the names of the N files.
        sizes: the sizes of the files in bytes, [N].
        size: the height and width of the resized images, in pixels.

    Raises:
        UserError: Pillow is not installed.
        DataError: from `take` and `evidence`: a file is missing or damaged.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, root: Path, names: tuple[str, ...], sizes: NDArray[np.int64], size: int
    ) -> None:
        self._imaging: Any = imaging()
        self._root = root
        self._names = names
        self._sizes = sizes
        self._size = size

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, height, width (pixels), 3."""
        return (len(self._names), self._size, self._size, 3)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._names)

    def take(self, indices: NDArray[np.integer], /, axis: int) -> NDArray[np.uint8]:
        """The images with these indices, [B, size, size, 3]; `axis` must be 0."""
        if axis != 0:
            raise ValueError(f"images are taken along axis 0, not {axis}")
        return side_by_side(lambda place: self._decoded(self._names[place]), indices, self.shape)

    def __getitem__(self, part: slice, /) -> "ImageFiles":
        """A range of the images; none of them is decoded."""
        return ImageFiles(self._root, self._names[part], self._sizes[part], self._size)

    @cached_property
    def evidence(self) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the names and sizes of all files and the pixels of 32 of them.

        The 32 images are evenly spaced; all images of ImageNet would be 190 GB. Modification times
        are not used, because copies do not keep them. So a replaced image of the same name and size
        is noticed only if it is one of the 32. A decoder that returns different pixels is noticed.
        """
        digest = hashlib.sha256("\n".join(self._names).encode("utf-8", "surrogateescape"))
        digest.update(self._sizes.tobytes())
        digest.update(spread(self, _SAMPLED).data)
        return np.frombuffer(digest.digest(), np.uint8)

    def stored_side(self) -> int | None:
        """The shorter side of the images in the files, in pixels: the median of 32 images.

        None if none of them can be read.
        """
        places = spread(np.arange(len(self)), _SAMPLED)
        shorter = (self._shorter_side(self._root / self._names[place]) for place in places)
        sides = [side for side in shorter if side is not None]
        return int(np.median(sides)) if sides else None

    def _shorter_side(self, file: Path) -> int | None:
        try:
            with self._imaging.open(file, formats=_FORMATS) as image:
                return min(image.size)
        except Exception:  # a damaged file is reported when it is decoded
            return None

    def _decoded(self, name: str) -> NDArray[np.uint8]:
        file = self._root / name
        try:
            return decoded(file, self._square)
        except Unfit as fault:
            raise DataError(
                f"data.source: {file} cannot be decoded: {fault}; {fault.remedy}, or remove the "
                "file, and start a new run"
            ) from fault

    def _square(self, image: Any) -> NDArray[np.uint8]:
        return central_square(image, self._size)


class Unfit(ValueError):
    """Says why a file cannot be decoded or its image cannot be used, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def decoded(file: Path | bytes, pixels: Callable[[Any], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The pixels of an image file.

    Args:
        file: the file's path or its bytes: JPEG, PNG, WEBP or BMP with 8 bits per channel.
        pixels: a function that returns the pixels of an opened Pillow image.

    Raises:
        Unfit: the file has another format or is damaged, or `pixels` raises it.
        UserError: Pillow is not installed.
    """
    opened = imaging().open
    try:
        with _stream(file) as stream:
            head = stream.read(_PNG_HEAD)
            stream.seek(0)
            with opened(stream, formats=_FORMATS) as image:
                if image.mode not in _EIGHT_BITS:
                    raise Unfit(f"its pixels are {image.mode}, {_EXPECTED_DEPTH}", _SAVE_8)
                _check_depth(head)
                return pixels(image)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise _explained(file, error) from error


def _stream(file: Path | bytes) -> BinaryIO:
    return io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")


def side_by_side(
    image: Callable[[int], NDArray[np.uint8]],
    indices: NDArray[np.integer],
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Make images on all cores, [B, height, width, channels].

    Args:
        image: a function that makes the image with an index.
        indices: the indices of the images, [B].
        shape: [N, height, width, channels]; N is not used.
    """
    images = np.empty((len(indices), *shape[1:]), np.uint8)

    def fill(place: int) -> None:
        images[place] = image(indices[place])

    for _ in _decoders().map(fill, range(len(indices))):
        pass  # waits for all threads, and raises what a thread raised
    return images


def _explained(file: Path | bytes, error: Exception) -> Unfit:
    """What is wrong with a file that could not be decoded."""
    if isinstance(error, Unfit):
        return error
    if isinstance(error, imaging().UnidentifiedImageError):
        # If Pillow can open it as another of its formats, the file is most likely intact.
        with suppress(Exception), _stream(file) as stream, imaging().open(stream) as image:
            return Unfit(f"it is {image.format}, expected {_KNOWN}", "save it as PNG")
        return Unfit(f"cannot identify image file, expected {_KNOWN}", _REPLACE)
    return Unfit(" ".join(str(error).split()) or type(error).__name__, _REPLACE)


def _check_depth(head: bytes) -> None:
    """Refuse PNG files with 16 bits per channel.

    Pillow opens them as RGB without a warning, and keeps only the upper 8 bits. Images whose values
    use only the lower bits become black.
    """
    if head.startswith(_PNG) and head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10":
        raise Unfit(f"its pixels have 16 bits per channel, {_EXPECTED_DEPTH}", _SAVE_8)


def central_square(image: Any, size: int) -> NDArray[np.uint8]:
    """The central square of a Pillow image, resized and in RGB, [size, size, 3]."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    if image.mode in ("P", "PA"):  # a palette with transparency cannot become RGB in one step
        image = image.convert("RGBA")
    square = image.convert("RGB").resize(
        (size, size), resample=3, box=(left, top, left + side, top + side)
    )
    return np.asarray(square)


# Pillow is released each quarter, with wheels for every platform and documented security fixes. It
# may be called from many threads, and is installed with matplotlib anyway.
def imaging() -> ModuleType:
    """The module `PIL.Image` of Pillow.

    Raises:
        UserError: Pillow is not installed.
    """
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise UserError(
            "data.source: reading images needs Pillow, which is not installed; "
            'run pip install "pillow>=12.0", or install fgspec with its extra `images`'
        ) from None


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _decoders() -> ThreadPoolExecutor:
    """The threads that decode all images of this process; decoding releases Python's GIL."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="decode")


FROM_FILES = Reading(threads=2, ahead=2, evidence=lambda images: images.evidence)
"""Two batches are made at a time, so that no core waits for the last images of a batch.

Each thread of Grain makes a whole batch. With a thread per core there would be as many batches in
memory, of 308 MB each with 2,048 images of 224x224 pixels. So all cores share the images of one
batch.
"""
