"""Writes the images and labels of any source to ArrayRecord files, and compares them afterwards."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from numpy.typing import NDArray

from fgspec.data.dataset import Images
from fgspec.data.packed_files import (
    LABELS,
    PARTS,
    RECORD,
    Contents,
    File,
    digest_of,
    read_packed,
)
from fgspec.errors import DataError, UserError
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.kinds import working
from fgspec.spec.sources import Search, Source

SHARD = 256 * 2**20
"""The approximate number of bytes of pixels in a file."""

_AT_ONCE = 64 * 2**20
"""Bytes of pixels that are read at a time."""

# With groups of one record, each record can be read without its neighbours. Compression is the
# library's default, zstd at level 3, which is lossless.
_OPTIONS = "group_size:1,zstd:3"


@dataclass(frozen=True)
class PackedSet:
    """What was written.

    Attributes:
        folder: the folder of the packed set.
        info: the description of the data.
        files: how many files there are: the ArrayRecord files, and that of the labels.
        bytes: the size of these files.
        pixels: the size of the images in memory, in bytes.
    """

    folder: Path
    info: DatasetInfo
    files: int
    bytes: int
    pixels: int


def pack(source: Source, folder: Path, search: Search = None, shard: int = SHARD) -> PackedSet:
    """Write all images and labels of a source, then read them again and compare.

    If this fails or is interrupted, the folder is removed.

    Args:
        source: the source of the data.
        folder: the folder to create; it must not exist.
        search: the folders in which a relative path of the source is looked for.
        shard: the approximate number of bytes of pixels in a file.

    Raises:
        DataError: the source's data are missing or damaged, or what is read again differs from
            them.
        UserError: the folder exists.
    """
    if folder.exists():
        raise UserError(f"{folder}: exists already; give a new folder, or remove this one")
    made = working(source)
    info, dataset = made.describe(search), made.read(search)
    images = {"train": dataset.train_images, "test": dataset.test_images}
    labels = {"train": dataset.train_labels, "test": dataset.test_labels}
    # A source's description can be wrong, so compare it with what was read.
    counts = len(labels["train"]), len(labels["test"])
    if counts != (info.train_examples, info.test_examples):
        raise DataError(
            f"data.source: {source} describes {info.train_examples} training and "
            f"{info.test_examples} test examples, but reads {counts[0]} and {counts[1]}; correct "
            "the source"
        )
    folder.mkdir(parents=True)
    try:
        files = [file for part in PARTS for file in _written(folder, part, images[part], shard)]
        np.savez(folder / LABELS, allow_pickle=False, **labels)
        files.append(_file(folder / LABELS))
        contents = Contents(info, tuple(files), dataset.names)
        _write(folder / RECORD, contents.text(_about(source)))
        _compare(folder, images, labels)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    pixels = sum(len(part) * _bytes_of(part) for part in images.values())
    return PackedSet(folder, info, len(files), sum(file.bytes for file in files), pixels)


def _about(source: Source) -> dict[str, Any]:
    """The origin of the images, which the record states for human readers."""
    said = {"source": source.named(), "licence": source.licence, "citation": source.citation}
    return {name: value for name, value in said.items() if value}


def _bytes_of(images: Images) -> int:
    """The size of one image in memory."""
    return int(np.prod(images.shape[1:])) * images.dtype.itemsize


def _parts(images: Images, most: int) -> Iterator[NDArray[Any]]:
    """All images in order, in arrays of up to `most` bytes, or of one image if it is larger."""
    count = max(1, most // _bytes_of(images))
    for start in range(0, len(images), count):
        stop = min(start + count, len(images))
        yield np.asarray(images.take(np.arange(start, stop), axis=0))


def _written(folder: Path, part: str, images: Images, shard: int) -> Iterator[File]:
    """Write the files of a part, each with about `shard` bytes of pixels."""
    each = max(1, shard // _bytes_of(images))
    starts = range(0, len(images), each)
    for number, start in enumerate(starts):
        some = images[start : start + each]
        path = folder / f"{part}-{number:05}-of-{len(starts):05}.array_record"
        writer = ArrayRecordWriter(str(path), _OPTIONS)
        for pixels in _parts(some, _AT_ONCE):
            for image in pixels.astype(pixels.dtype.newbyteorder("<"), copy=False):
                writer.write(image.tobytes())
        writer.close()
        yield _file(path, part, len(some))


def _file(path: Path, part: str = "", records: int = 0) -> File:
    return File(path.name, path.stat().st_size, digest_of(path), part, records)


def _write(path: Path, text: str) -> None:
    """Write a file completely, or not at all."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        with suppress(OSError):  # some file systems do not support it
            os.fsync(stream.fileno())
    partial.replace(path)


def _compare(
    folder: Path,
    images: Mapping[str, Images],
    labels: Mapping[str, NDArray[Any]],
) -> None:
    """Read the packed set as a run would, and compare it with the source.

    Raises:
        DataError: an image or a label differs from that in the source.
    """
    again = read_packed(folder, Contents.read(folder / RECORD), verify=True)
    written = {"train": again.train_images, "test": again.test_images}
    written_labels = {"train": again.train_labels, "test": again.test_labels}
    for part in PARTS:
        same = np.array_equal(written_labels[part], labels[part])
        pairs = zip(_parts(images[part], _AT_ONCE), _parts(written[part], _AT_ONCE), strict=True)
        if not same or not all(np.array_equal(source, read) for source, read in pairs):
            raise DataError(
                f"data.source: the {part} examples read back from {folder} differ from those of "
                "the source; check the disk, and pack the set again"
            )
