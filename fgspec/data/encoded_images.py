"""Images stored encoded in records of larger files, and decoded when a batch needs them."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import spread
from fgspec.data.image_files import Unfit, central_square, decoded, imaging, side_by_side
from fgspec.errors import DataError

_SAMPLED = 32
"""How many images of a set are decoded to compute its evidence."""


@dataclass(frozen=True)
class Records:
    """Where encoded images are stored.

    Attributes:
        read: returns the bytes of a record's image: JPEG, PNG, WEBP or BMP. It may be called from
            many threads. It raises ValueError, OSError or RuntimeError if a record is damaged.
        where: returns the name of a record for an error message.
        identity: bytes that differ if the files differ.
    """

    read: Callable[[int], bytes]
    where: Callable[[int], str]
    identity: bytes

    def decoded(self, place: int, pixels: Callable[[Any], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The pixels of a record's image, as `pixels` returns them for the opened image.

        Raises:
            DataError: the record or its image is damaged, or `pixels` raises `Unfit`.
            UserError: Pillow is not installed.
        """
        try:
            return decoded(self.read(int(place)), pixels)
        except Unfit as fault:
            raise DataError(
                f"data.source: {self.where(int(place))} cannot be decoded: {fault}; {fault.remedy}"
            ) from fault
        except (ValueError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"data.source: {self.where(int(place))} cannot be read: {reason}; put an intact "
                "copy in its place"
            ) from error


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images [N, height, width, channels], uint8, that are decoded when they are taken.

    Attributes:
        records: the records that hold the images.
        places: the indices of the images' records, [N].
        side: the height and width that central squares are resized to; None if images are not
            resized, and all have one size.
        image_shape: height, width (pixels), channels: 1 for grey images, else 3.
    """

    records: Records
    places: NDArray[np.int64]
    side: int | None
    image_shape: tuple[int, int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, height, width (pixels), channels."""
        return (len(self.places), *self.image_shape)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.places)

    def take(self, indices: NDArray[np.integer], /, axis: int) -> NDArray[np.uint8]:
        """The images with these indices, [B, height, width, channels]; `axis` must be 0.

        Raises:
            DataError: a record is damaged, or its image has another size.
        """
        if axis != 0:
            raise ValueError(f"images are taken along axis 0, not {axis}")
        return side_by_side(
            lambda place: self.records.decoded(self.places[place], self._pixels),
            indices,
            self.shape,
        )

    def __getitem__(self, part: slice, /) -> "EncodedImages":
        """A range of the images; none of them is decoded."""
        return replace(self, places=self.places[part])

    @cached_property
    def evidence(self) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the files' identity, the records' indices, and 32 images.

        The 32 images are evenly spaced. Decoding all of them would take as long as an epoch.
        """
        digest = hashlib.sha256(self.records.identity)
        digest.update(self.places.astype("<i8").tobytes())
        digest.update(spread(self, _SAMPLED).data)
        return np.frombuffer(digest.digest(), np.uint8)

    def _pixels(self, image: Any) -> NDArray[np.uint8]:
        if self.side is not None:
            square = central_square(image, self.side)
            grey = self.image_shape[2] == 1
            return _grey(square) if grey else square
        height, width, channels = self.image_shape
        if image.size != (width, height):
            raise Unfit(
                f"it has {image.size[1]}x{image.size[0]} pixels, expected {height}x{width} like "
                "the first",
                "set data.source.size, to which the central square of each image is resized",
            )
        return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(self.image_shape)


def _grey(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel of a grey image that was converted to RGB."""
    return square[..., :1]


def shape_of(records: Records, place: int, side: int | None) -> tuple[int, int, int]:
    """Height, width and channels of the images, taken from one of them.

    Args:
        records: the records that hold the images.
        place: the index of the record to look at.
        side: the height and width that central squares are resized to; None if images are not
            resized.

    Raises:
        DataError: the record is damaged.
        UserError: Pillow is not installed.
    """
    shapes: list[tuple[int, int, int]] = []

    def look(image: Any) -> NDArray[np.uint8]:
        grey = image.mode in ("1", "L", "LA")
        width, height = image.size if side is None else (side, side)
        shapes.append((height, width, 1 if grey else 3))
        return np.zeros(0, np.uint8)

    records.decoded(place, look)
    return shapes[0]


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels [H, W, 1 or 3] as a PNG file."""
    stream = io.BytesIO()
    imaging().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return stream.getvalue()
