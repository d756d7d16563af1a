"""Reads arrays of a published .npz archive, without trusting the arrays' headers."""

import io
import math
import zipfile
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fgspec.data.unpacking import most_unpacked, refuse_beyond_memory

# The methods that NumPy writes with. Others can unpack to more than a thousand times their size.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FOLD = 300
"""How many bytes one compressed byte may unpack to."""
# A header is a Python literal, which NumPy passes to Python's own parser.
_HEADER_ERRORS = (ValueError, TypeError, SyntaxError, RecursionError, TokenError)


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a file in an archive.

    Raises:
        ValueError: it is damaged, or would unpack to too many bytes.
    """
    if info.compress_type not in _PACKINGS:
        raise ValueError(
            f"its member {info.filename} is compressed by a method that NumPy does not use"
        )
    if info.file_size > most_unpacked(info.compress_size, _FOLD):
        raise ValueError(
            f"its member {info.filename} has {info.compress_size:,} bytes that claim to unpack to "
            f"{info.file_size:,}, too many for images"
        )
    refuse_beyond_memory(info.file_size)
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"its member {info.filename} is damaged ({error})") from error


def arrays_of(file: BinaryIO, *names: str) -> list[NDArray[Any]]:
    """Read arrays of an .npz archive.

    Args:
        file: the archive.
        names: the names of the arrays, without `.npy`.

    Raises:
        ValueError: the archive is damaged, or an array is missing or holds something other than
            numbers.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"it is not an npz archive or is cut off ({error})") from error
    with archive:
        members = {info.filename: info for info in archive.infolist()}
        arrays: list[NDArray[Any]] = []
        for name in names:
            if f"{name}.npy" not in members:
                there = ", ".join(sorted(other.removesuffix(".npy") for other in members)) or "none"
                raise ValueError(f"it has no array {name}; the arrays there: {there}")
            arrays.append(_array(name, member(archive, members[f"{name}.npy"])))
        return arrays


def _array(name: str, content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        if npy.read_magic(stream) == (1, 0):
            shape, columns_first, dtype = npy.read_array_header_1_0(stream)
        else:
            stream.seek(0)
            npy.read_magic(stream)
            shape, columns_first, dtype = npy.read_array_header_2_0(stream)
    except _HEADER_ERRORS as error:
        raise ValueError(f"the header of {name} cannot be read ({error})") from error
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects instead of numbers, and could run code")
    follow = len(content) - stream.tell()
    if math.prod(shape) * dtype.itemsize != follow:
        raise ValueError(
            f"the header of {name} announces {shape} of {dtype}, but {follow:,} bytes follow"
        )
    flat = np.frombuffer(content, dtype, offset=stream.tell())
    array = flat.reshape(shape, order="F" if columns_first else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
