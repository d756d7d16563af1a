"""MNIST from its published IDX files."""

import gzip
import io
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured
from fgspec.data.places import candidates, is_file, usual_folders
from fgspec.data.published import Publication, check_counts, check_md5, damage_reported, missing
from fgspec.data.unpacking import Bounded, most_unpacked, refuse_beyond_memory
from fgspec.errors import DataError
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MNIST, Search

PUBLICATION = Publication(
    "MNIST", ("http://yann.lecun.com/exdb/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist/")
)
# Of the unpacked files: the same bytes are in circulation gzipped in more than one way, so the
# md5 of a .gz file says less.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


class Mnist(sources.Mnist):
    """The section with how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 28, 28, 1] uint8, of the four files.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        folders = usual_folders("mnist") if self.path is None else candidates(self.path, search)
        holding = [folder for folder in folders if any(_found(folder, name) for name in MD5)]
        looked_in = holding[:1] or folders
        arrays = {name: _read_array(looked_in, name, self.verify) for name in MD5}
        for part in ("train", "t10k"):
            images, labels = (
                arrays[f"{part}-{kind}-ubyte"] for kind in ("images-idx3", "labels-idx1")
            )
            if len(images) != len(labels):
                raise DataError(
                    f"data.source: {looked_in[0]} holds {len(images)} images and {len(labels)} "
                    f"labels in its {part} files, expected one label an image; {PUBLICATION.remedy}"
                )
        dataset = Dataset(
            train_images=arrays["train-images-idx3-ubyte"],
            train_labels=arrays["train-labels-idx1-ubyte"].astype(np.int32),
            test_images=arrays["t10k-images-idx3-ubyte"],
            test_labels=arrays["t10k-labels-idx1-ubyte"].astype(np.int32),
        )
        if self.verify:
            check_counts(PUBLICATION, looked_in[0], dataset, MNIST)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """What is read."""
        return measured(MNIST.name, self.read(search))

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Four files of 20 and 10 images of noise, which are not the published ones."""
        random = np.random.default_rng(0)
        for name in MD5:
            examples = 20 if name.startswith("train") else 10
            values = np.arange(examples, dtype=np.uint8) % MNIST.classes
            if "idx3" in name:
                values = random.integers(0, 256, (examples, *MNIST.image_shape[:2]), np.uint8)
            shape = values.shape
            header = struct.pack(f">4B{len(shape)}I", 0, 0, _UNSIGNED_BYTE, len(shape), *shape)
            (folder / name).write_bytes(header + values.tobytes())
        return cls(path=str(folder), verify=False)


def _found(folder: Path, name: str) -> Path | None:
    # Some mirrors write a dot: train-images.idx3-ubyte.
    names = (
        other
        for written in (name, name.replace("-idx", ".idx"))
        for other in (written, f"{written}.gz")
    )
    return next((file for file in (folder / other for other in names) if is_file(file)), None)


def _published_size(name: str) -> int:
    """Bytes of a published file, unpacked."""
    examples = MNIST.train_examples if name.startswith("train") else MNIST.test_examples
    axes = (examples, *MNIST.image_shape[:2]) if "idx3" in name else (examples,)
    return _header_size(len(axes)) + math.prod(axes)


def _content(file: Path, name: str, axes: int, verify: bool) -> bytes:
    """The bytes of a file, unpacked if they are packed.

    Raises:
        OSError, EOFError, ValueError, zlib.error: they cannot be had, or are too many.
    """
    size = file.stat().st_size
    # What is larger is not the published file, and may be meant to fill the memory.
    if verify and size > _published_size(name):
        raise ValueError(f"it has {size:,} bytes, expected at most {_published_size(name):,}")
    refuse_beyond_memory(size)
    content = file.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    most, why = most_unpacked(len(content)), "and no images do"
    if verify:
        most, why = _published_size(name), "and the published file does not"
    stream = Bounded(gzip.GzipFile(fileobj=io.BytesIO(content)), most, why)
    head = stream.read(_header_size(axes))
    size = math.prod(idx_shape(head, axes))
    if len(head) + size > most:
        raise ValueError(f"its head says that {size:,} bytes follow, more than it may hold")
    # One more than there should be: the checksum of what is unpacked is compared at its end.
    return head + stream.read(size + 1)


def _read_array(looked_in: Sequence[Path], name: str, verify: bool) -> NDArray[np.uint8]:
    """One file's images [N, 28, 28, 1] or labels [N], both uint8."""
    file, checksum = _found(looked_in[0], name), f"{MD5[name]} unpacked"
    if file is None:
        raise missing(PUBLICATION, f"{name} or {name}.gz", looked_in, checksum)
    with damage_reported(PUBLICATION, file, checksum):
        axes = 3 if "idx3" in name else 1
        content = _content(file, name, axes, verify)
        array = parse_idx(content, axes)
        if array.ndim == 1:
            checked_labels(array, MNIST.classes)
        elif array.shape[1:] != MNIST.image_shape[:2]:
            raise ValueError(f"its images are {array.shape[1:]}, expected {MNIST.image_shape[:2]}")
    if verify:
        check_md5(PUBLICATION, file, content, MD5[name])
    return array[..., np.newaxis] if array.ndim == 3 else array


def _header_size(axes: int) -> int:
    return 4 + 4 * axes


def idx_shape(content: bytes, axes: int) -> tuple[int, ...]:
    """The shape that the head of an IDX file says; see `parse_idx`.

    Raises:
        ValueError: it is no head of so many axes, or is cut off.
    """
    start = bytes((0, 0, _UNSIGNED_BYTE, axes))
    if not content.startswith(start):
        raise ValueError(f"it starts with 0x{content[:4].hex()}, expected 0x{start.hex()}")
    header = _header_size(axes)
    if len(content) < header:
        raise ValueError(f"it ends after {len(content)} bytes, within its header of {header}")
    return struct.unpack_from(f">{axes}I", content, len(start))


def parse_idx(content: bytes, axes: int) -> NDArray[np.uint8]:
    """Decodes an IDX file of unsigned bytes.

    Args:
        content: two zero bytes, the type 0x08, the number of axes, each axis's length as a
            big-endian uint32, then the data in C order.
        axes: the number of axes there must be.

    Returns:
        uint8, with the shape that the file gives.

    Raises:
        ValueError: the start is another, an axis is 0, or the length disagrees with the axes.
    """
    shape, header = idx_shape(content, axes), _header_size(axes)
    size = header + math.prod(shape)
    if 0 in shape or len(content) != size:
        raise ValueError(f"it has {len(content)} bytes, expected {size} for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
