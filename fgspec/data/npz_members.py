"""Arrays of an .npz archive that others published, read without trusting what their heads say."""

import io
import math
import zipfile
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fgspec.data.unpacking import most_unpacked, refuse_beyond_memory

# Those that NumPy writes; others unpack to more than thousandfold.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FOLD = 300
"""Bytes that one compressed byte may become."""
# A head is a Python literal, which NumPy gives to Python's own reader.
_HEADLESS = (ValueError, TypeError, SyntaxError, RecursionError, TokenError)


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What a file of an archive holds.

    Raises:
        ValueError: it is damaged, or unpacks to more than it may.
    """
    if info.compress_type not in _PACKINGS:
        raise ValueError(f"{info.filename} in it is packed in an unusual way")
    if info.file_size > most_unpacked(info.compress_size, _FOLD):
        raise ValueError(
            f"{info.filename} in it is {info.compress_size:,} bytes that claim to be "
            f"{info.file_size:,}, which no images are"
        )
    refuse_beyond_memory(info.file_size)
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{info.filename} in it is damaged ({error})") from error


def arrays_of(file: BinaryIO, *names: str) -> list[NDArray[Any]]:
    """Arrays of an .npz archive.

    Args:
        file: the archive.
        names: of the arrays, without `.npy`.

    Raises:
        ValueError: the archive is damaged, or an array is missing or not of plain numbers.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"it is no npz archive or is cut off ({error})") from error
    with archive:
        known = {info.filename: info for info in archive.infolist()}
        found: list[NDArray[Any]] = []
        for name in names:
            if f"{name}.npy" not in known:
                there = ", ".join(sorted(other.removesuffix(".npy") for other in known)) or "none"
                raise ValueError(f"it has no array {name}; the arrays there: {there}")
            found.append(_array(name, member(archive, known[f"{name}.npy"])))
        return found


def _array(name: str, content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        if npy.read_magic(stream) == (1, 0):
            shape, columns_first, dtype = npy.read_array_header_1_0(stream)
        else:
            stream.seek(0)
            npy.read_magic(stream)
            shape, columns_first, dtype = npy.read_array_header_2_0(stream)
    except _HEADLESS as error:
        raise ValueError(f"the head of {name} cannot be read ({error})") from error
    if dtype.hasobject:
        raise ValueError(f"{name} is not of plain numbers, and could run code")
    follow = len(content) - stream.tell()
    if math.prod(shape) * dtype.itemsize != follow:
        raise ValueError(f"the head of {name} says {shape} of {dtype}, but {follow:,} bytes follow")
    flat = np.frombuffer(content, dtype, offset=stream.tell())
    array = flat.reshape(shape, order="F" if columns_first else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
