"""Data sets in four IDX files: MNIST, and its replacements such as Fashion-MNIST."""

import gzip
import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured, moments
from fgspec.data.places import first_holding, is_file, published_places
from fgspec.data.published import (
    Publication,
    check_counts,
    check_md5,
    check_mean,
    damage_reported,
    is_mean_of,
    missing,
)
from fgspec.data.unpacking import TOO_MANY, Bounded, most_unpacked, refuse_beyond_memory
from fgspec.errors import DataError
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Published, Search

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The names of the four files."""

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class IdxSet:
    """A set of images that was published in the four files.

    Attributes:
        publication: the title of the data set, and where to get it.
        info: what the published files contain.
        made: the folders that archives and other tools put around the files.
        md5: the MD5 digests of the unpacked files, by file name. If none are known, counts and the
            mean of the training images are compared instead.
        packed_md5: the MD5 digests of the gzipped files, by file name. It has only files that are
            distributed in one packed form.
        names: the names of the classes; empty if they have none.
    """

    publication: Publication
    info: DatasetInfo
    made: tuple[str, ...]
    md5: Mapping[str, str] = field(default_factory=dict)
    packed_md5: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def read(self, path: str | None, search: Search, verify: bool) -> Dataset:
        """Read the four files; images are [N, height, width, 1] uint8.

        Args:
            path: the path in the spec; None means the usual folders.
            search: the folders in which a relative path is looked for.
            verify: whether the files must be the published ones.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        places = published_places(path, self.info.name, search)
        folder = first_holding(path, places, self.made, _holds_any)
        looked_in = places if folder is None else (folder,)
        arrays = {name: self._array(looked_in, name, verify) for name in NAMES}
        for part in ("train", "t10k"):
            images, labels = (
                arrays[f"{part}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1")
            )
            if len(images) != len(labels):
                raise DataError(
                    f"data.source: {looked_in[0]} holds {len(images)} images and {len(labels)} "
                    f"labels in its {part} files, expected one label per image; "
                    f"{self.publication.remedy}"
                )
        dataset = Dataset(
            train_images=arrays["train-images-idx3-ubyte"],
            train_labels=arrays["train-labels-idx1-ubyte"].astype(np.int32),
            test_images=arrays["t10k-images-idx3-ubyte"],
            test_labels=arrays["t10k-labels-idx1-ubyte"].astype(np.int32),
            names=self.names,
        )
        if verify:
            check_counts(self.publication, looked_in[0], dataset, self.info)
            if not self.md5:
                images = arrays["train-images-idx3-ubyte"]
                check_mean(self.publication, looked_in[0], images, self.info)
        return dataset

    def recognizes(self, place: Path) -> bool:
        """Whether a folder holds these files, judged by the mean of the training images."""
        tried = (place, *(place / name for name in self.made))
        folder = next((folder for folder in tried if _holds_any(folder)), None)
        file = None if folder is None else found(folder, NAMES[0])
        if file is None:
            return False
        try:
            images = parse_idx(self._content(file, NAMES[0], 3, True), 3)
            return is_mean_of(moments(images[..., np.newaxis])[0], self.info)
        except Exception:  # a damaged file, or one of another size, is not recognized
            return False

    def write(self, folder: Path) -> None:
        """Write stand-ins for the four files, with 20 training and 10 test images of noise."""
        random = np.random.default_rng(0)
        for name in NAMES:
            examples = 20 if name.startswith("train") else 10
            values = np.arange(examples, dtype=np.uint8) % self.info.classes
            if "idx3" in name:
                values = random.integers(0, 256, (examples, *self.info.image_shape[:2]), np.uint8)
            shape = values.shape
            header = struct.pack(f">4B{len(shape)}I", 0, 0, _UNSIGNED_BYTE, len(shape), *shape)
            (folder / name).write_bytes(header + values.tobytes())

    def _array(self, looked_in: Sequence[Path], name: str, verify: bool) -> NDArray[np.uint8]:
        """The images [N, height, width, 1] or labels [N] of one file, uint8."""
        file, md5 = found(looked_in[0], name), self.md5.get(name)
        packed_md5 = self.packed_md5.get(name)
        expected = f"{md5} unpacked" if md5 else packed_md5 and f"{packed_md5} gzipped"
        if file is None:
            raise missing(self.publication, f"{name} or {name}.gz", looked_in, expected)
        with damage_reported(self.publication, file, expected):
            axes = 3 if "idx3" in name else 1
            content = self._content(file, name, axes, verify)
            array = parse_idx(content, axes)
            if array.ndim == 1:
                checked_labels(array, self.info.classes)
            elif array.shape[1:] != self.info.image_shape[:2]:
                raise ValueError(
                    f"its images are {array.shape[1:]}, expected {self.info.image_shape[:2]}"
                )
        if verify and md5:
            check_md5(self.publication, file, content, md5)
        elif verify and packed_md5 and is_packed(packed := file.read_bytes()):
            check_md5(self.publication, file, packed, packed_md5)
        return array[..., np.newaxis] if array.ndim == 3 else array

    def _content(self, file: Path, name: str, axes: int, verify: bool) -> bytes:
        """The bytes of a file, unpacked if it is gzipped.

        Raises:
            OSError, EOFError, ValueError, zlib.error: the file cannot be read, or is too large.
        """
        size, published = file.stat().st_size, self._published_size(name)
        # A larger file is not the published one, and could be made to fill the memory.
        if verify and size > published:
            raise ValueError(f"it has {size:,} bytes, expected at most {published:,}")
        refuse_beyond_memory(size)
        content = file.read_bytes()
        if not is_packed(content):
            return content
        most, why = most_unpacked(len(content)), TOO_MANY
        if verify:
            most, why = published, "the size of the published file"
        stream = Bounded(gzip.GzipFile(fileobj=io.BytesIO(content)), most, why)
        header = stream.read(_header_size(axes))
        size = math.prod(idx_shape(header, axes))
        if len(header) + size > most:
            raise ValueError(
                f"its header announces {size:,} bytes of data, expected at most "
                f"{most - len(header):,}"
            )
        # Reading one byte more reaches the end, where gzip compares the checksum.
        return header + stream.read(size + 1)

    def _published_size(self, name: str) -> int:
        """The size in bytes of a published file, unpacked."""
        info = self.info
        examples = info.train_examples if name.startswith("train") else info.test_examples
        axes = (examples, *info.image_shape[:2]) if "idx3" in name else (examples,)
        return _header_size(len(axes)) + math.prod(axes)


class IdxSource(Published):
    """A source with four IDX files, and how they are read.

    Attributes:
        files: the published files of the data set.
    """

    files: ClassVar[IdxSet]

    def read(self, search: Search = None) -> Dataset:
        """Images [N, height, width, 1] uint8, of the four files.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        return self.files.read(self.path, search, self.verify)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(self.files.info.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the mean of its training images."""
        return cls.files.recognizes(place)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the four files, with 20 training and 10 test images of noise."""
        cls.files.write(folder)
        return cls.model_validate({"path": str(folder), "verify": False})


def _holds_any(folder: Path) -> bool:
    return any(found(folder, name) for name in NAMES)


def found(folder: Path, name: str) -> Path | None:
    """The file of this name in a folder, gzipped or not; None if there is none."""
    # Some mirrors write a dot in place of a hyphen: train-images.idx3-ubyte.
    names = (
        other
        for written in (name, name.replace("-idx", ".idx"))
        for other in (written, f"{written}.gz")
    )
    return next((file for file in (folder / other for other in names) if is_file(file)), None)


def is_packed(content: bytes) -> bool:
    """Whether these are the bytes of a gzip file."""
    return content.startswith(_GZIP_MAGIC)


def _header_size(axes: int) -> int:
    return 4 + 4 * axes


def idx_shape(content: bytes, axes: int) -> tuple[int, ...]:
    """The shape in the header of an IDX file; see `parse_idx`.

    Raises:
        ValueError: it is not a header with this number of axes, or is cut off.
    """
    start = bytes((0, 0, _UNSIGNED_BYTE, axes))
    if not content.startswith(start):
        raise ValueError(f"it starts with 0x{content[:4].hex()}, expected 0x{start.hex()}")
    header = _header_size(axes)
    if len(content) < header:
        raise ValueError(f"it ends after {len(content)} bytes, within its header of {header}")
    return struct.unpack_from(f">{axes}I", content, len(start))


def parse_idx(content: bytes, axes: int) -> NDArray[np.uint8]:
    """Decode an IDX file of unsigned bytes.

    Args:
        content: two zero bytes, the type 0x08, the number of axes, the length of each axis as a
            big-endian uint32, then the data in C order.
        axes: the number of axes that the file must have.

    Returns:
        The data as uint8, with the shape that the file states.

    Raises:
        ValueError: the file starts differently, an axis has the length 0, or the file's length does
            not match its shape.
    """
    shape, header = idx_shape(content, axes), _header_size(axes)
    size = header + math.prod(shape)
    if 0 in shape or len(content) != size:
        raise ValueError(f"it has {len(content)} bytes, expected {size} for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
