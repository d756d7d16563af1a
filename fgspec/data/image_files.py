"""Images in files, decoded when a batch needs them; needs Pillow, of the extra `images`."""

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
"""Of the files that are taken for images; what is in them decides how they are decoded."""

# No others, so that flaws in the decoders of Pillow's many other formats are no concern.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_KNOWN = "JPEG, PNG, WEBP or BMP"
_EXPECTED_DEPTH = "expected 8 bits a channel"
_SAVE_8 = "save it with 8 bits a channel"
_REPLACE = "put an intact copy in its place"
_SAMPLED = 32
"""Images of a set that are decoded for its evidence."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD, _PNG_DEPTH = 26, 24
"""Bytes of a PNG up to its colour type, and the place of the one that holds bits a channel."""


class ImageFiles:
    """Images [N, size, size, 3], uint8, that are decoded when they are taken.

    Of every image the central square is resized by bicubic interpolation, antialiased. Any of its
    methods may be called from many threads; images are decoded on all cores.

    Args:
        root: the folder that names start from.
        names: of the files, N of them.
        sizes: of the files in bytes, [N].
        size: height and width in pixels.

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
        """The images at these places, [B, size, size, 3]; `axis` must be 0."""
        if axis != 0:
            raise ValueError(f"images are taken along axis 0, not {axis}")
        return side_by_side(lambda place: self._decoded(self._names[place]), indices, self.shape)

    def __getitem__(self, part: slice, /) -> "ImageFiles":
        """A range of the images; none of them is decoded."""
        return ImageFiles(self._root, self._names[part], self._sizes[part], self._size)

    @cached_property
    def evidence(self) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the names and sizes of all files and the pixels of 32 of them.

        The 32 are evenly spread, as all would be 190 GB of ImageNet. Times of change do not count:
        copies do not keep them. An image that is replaced by another file of the same name and
        size goes unseen elsewhere; another decoder that makes other pixels does not.
        """
        digest = hashlib.sha256("\n".join(self._names).encode("utf-8", "surrogateescape"))
        digest.update(self._sizes.tobytes())
        digest.update(spread(self, _SAMPLED).data)
        return np.frombuffer(digest.digest(), np.uint8)

    def stored_side(self) -> int | None:
        """The shorter side in pixels of the images as they are in the files, the median of a few.

        None if none of these can be read.
        """
        places = spread(np.arange(len(self)), _SAMPLED)
        found = (self._shorter_side(self._root / self._names[place]) for place in places)
        sides = [side for side in found if side is not None]
        return int(np.median(sides)) if sides else None

    def _shorter_side(self, file: Path) -> int | None:
        try:
            with self._imaging.open(file, formats=_FORMATS) as image:
                return min(image.size)
        except Exception:  # a damaged file is told of when it is decoded
            return None

    def _decoded(self, name: str) -> NDArray[np.uint8]:
        file = self._root / name
        try:
            return decoded(file, self._square)
        except Unfit as fault:
            raise DataError(
                f"data.source: {file} cannot be decoded: {fault}; {fault.remedy}, or remove it, "
                "and start a new run"
            ) from fault

    def _square(self, image: Any) -> NDArray[np.uint8]:
        return central_square(image, self._size)


class Unfit(ValueError):
    """Why a file cannot be decoded, or its picture not be used, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def decoded(file: Path | bytes, pixels: Callable[[Any], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The pixels of a file.

    Args:
        file: its place, or what it holds: JPEG, PNG, WEBP or BMP of 8 bits a channel.
        pixels: makes them of an image of Pillow.

    Raises:
        Unfit: it is something else, or damaged; or `pixels` raises it.
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
    """Images made on all cores, [B, height, width, channels].

    Args:
        image: makes the one at a place.
        indices: the places, [B].
        shape: of all images, of any number.
    """
    images = np.empty((len(indices), *shape[1:]), np.uint8)

    def fill(place: int) -> None:
        images[place] = image(indices[place])

    for _ in _decoders().map(fill, range(len(indices))):
        pass  # waits, and raises what a thread raised
    return images


def _explained(file: Path | bytes, error: Exception) -> Unfit:
    """What is wrong with a file that could not be decoded."""
    if isinstance(error, Unfit):
        return error
    if isinstance(error, imaging().UnidentifiedImageError):
        # What Pillow knows is more than what is read, and is intact in all likelihood.
        with suppress(Exception), _stream(file) as stream, imaging().open(stream) as image:
            return Unfit(f"it is {image.format}, expected {_KNOWN}", "save it as PNG")
        return Unfit(f"cannot identify image file, expected {_KNOWN}", _REPLACE)
    return Unfit(" ".join(str(error).split()) or type(error).__name__, _REPLACE)


def _check_depth(head: bytes) -> None:
    """Refuse PNG files of 16 bits a channel.

    Pillow says RGB of them as of any other, and keeps the upper 8 bits: images whose values lie in
    the lower ones become black.
    """
    if head.startswith(_PNG) and head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10":
        raise Unfit(f"its pixels are of 16 bits a channel, {_EXPECTED_DEPTH}", _SAVE_8)


def central_square(image: Any, size: int) -> NDArray[np.uint8]:
    """The central square of an image of Pillow in RGB, resized, [size, size, 3]."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    if image.mode in ("P", "PA"):  # whose transparency RGB cannot take
        image = image.convert("RGBA")
    square = image.convert("RGB").resize(
        (size, size), resample=3, box=(left, top, left + side, top + side)
    )
    return np.asarray(square)


# Pillow has a release each quarter, with wheels for every platform and security fixes that name
# what they concern, may be called from many threads, and comes with matplotlib anyway.
def imaging() -> ModuleType:
    """Pillow's module of images.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise UserError(
            "data.source: reading images needs Pillow, which is not installed; "
            'pip install "pillow>=12.0", or install fgspec with its extra `images`'
        ) from None


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _decoders() -> ThreadPoolExecutor:
    """Threads that all images of this process share; decoding leaves Python's lock."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="decode")


FROM_FILES = Reading(threads=2, ahead=2, evidence=lambda images: images.evidence)
"""Two batches are made at a time, so that no core waits for the last images of one.

A thread of Grain makes a whole batch: one for every core would hold as many, 308 MB each at 2,048
images of 224 pixels. So cores share the images of a batch instead.
"""
