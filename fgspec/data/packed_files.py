"""The files of a packed set: images in ArrayRecord files, labels, and a record that lists them."""

import hashlib
import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import AnyLabels, Dataset, Reading
from fgspec.errors import DataError
from fgspec.spec.dataset_info import DatasetInfo

RECORD = "dataset.json"
"""The name of the record. It is written last, so a folder that has it is complete."""

LABELS = "labels.npz"
PARTS = ("train", "test")
FORMAT = "fgspec packed images"
VERSION = 1
AGAIN = "pack the set again with fgspec data pack SPEC FOLDER"


@dataclass(frozen=True)
class File:
    """A file of a packed set.

    Attributes:
        name: the file name.
        bytes: the size of the file.
        sha256: the SHA-256 of its content, in hex.
        part: `train` or `test`; empty for labels.
        records: how many images it has; 0 for labels.
    """

    name: str
    bytes: int
    sha256: str
    part: str = ""
    records: int = 0


@dataclass(frozen=True)
class Contents:
    """The contents of a packed set's record.

    Attributes:
        info: the description of the source that was packed.
        files: all files; those of a part are in the order of its images.
        names: the names of the classes, by label; empty if they have none.
    """

    info: DatasetInfo
    files: tuple[File, ...]
    names: tuple[str, ...]

    def text(self, about: Mapping[str, Any]) -> str:
        """The record as JSON.

        Args:
            about: more entries for human readers, such as the licence.
        """
        said = {"format": FORMAT, "version": VERSION, **about, "info": asdict(self.info)}
        files = [asdict(file) for file in self.files]
        return json.dumps(said | {"names": list(self.names), "files": files}, indent=1) + "\n"

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the record from a file.

        Raises:
            DataError: the record is missing, damaged, or of another version.
        """
        try:
            said = json.loads(file.read_text("utf-8"))
            if said["format"] != FORMAT or said["version"] != VERSION:
                raise DataError(
                    f"data.source.path: {file} is {said['format']!r} of version "
                    f"{said['version']!r}, expected {FORMAT!r} of version {VERSION}; {AGAIN}"
                )
            lists = ((k, tuple(v) if isinstance(v, list) else v) for k, v in said["info"].items())
            files = tuple(File(**file) for file in said["files"])
            return cls(DatasetInfo(**dict[str, Any](lists)), files, tuple(said["names"]))
        except DataError:
            raise
        except OSError as error:
            raise DataError(
                f"data.source.path: {file} cannot be read: {error.strerror}; make it readable"
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"data.source.path: {file} is not the record of a packed set ({error}); {AGAIN}"
            ) from error


def read_packed(folder: Path, contents: Contents, verify: bool) -> Dataset:
    """Open a packed set; its images are read when a batch needs them.

    Args:
        folder: the folder of the packed set.
        contents: the contents of its record.
        verify: whether the digests of files are compared, or only their sizes.

    Raises:
        DataError: a file is missing or damaged, or has changed since it was packed.
    """
    for file in contents.files:
        check_file(folder, file, verify)
    labels = _labels(folder / LABELS, contents.info)
    return Dataset(
        train_images=PackedImages(folder, contents, "train"),
        train_labels=labels["train"],
        test_images=PackedImages(folder, contents, "test"),
        test_labels=labels["test"],
        reading=FROM_RECORDS,
        names=contents.names,
    )


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_file(folder: Path, file: File, verify: bool) -> None:
    """Compare a file's size, and if asked its digest, with those in the record.

    Raises:
        DataError: the file is missing, or they differ.
    """
    path = folder / file.name
    try:
        size = path.stat().st_size
        if size != file.bytes:
            raise DataError(
                f"data.source: {path} has {size:,} bytes, expected {file.bytes:,}; {AGAIN}"
            )
        if verify and (digest := digest_of(path)) != file.sha256:
            raise DataError(
                f"data.source: the content of {path} has sha256 {digest}, expected {file.sha256}; "
                f"{AGAIN}"
            )
    except OSError as error:
        raise DataError(f"data.source: {path} cannot be read: {error.strerror}; {AGAIN}") from error


def _labels(file: Path, info: DatasetInfo) -> dict[str, AnyLabels]:
    """The labels of each part."""
    counts = {"train": info.train_examples, "test": info.test_examples}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            labels_of = {part: arrays[part] for part in PARTS}
    except Exception as error:  # reading a damaged archive can raise any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"data.source: {file} cannot be read: {reason}; {AGAIN}") from error
    for part, labels in labels_of.items():
        dtype, shape = np.dtype(info.label_dtype), (counts[part], *info.label_shape)
        if (labels.dtype, labels.shape) != (dtype, shape):
            raise DataError(
                f"data.source: the {part} labels of {file} are {labels.dtype} {labels.shape}, "
                f"expected {dtype} {shape}; {AGAIN}"
            )
    return labels_of


class PackedImages:
    """Images [N, H, W, C] in ArrayRecord files; each record has the raw pixels of one image.

    Args:
        folder: the folder of the files.
        contents: the contents of its record.
        part: `train` or `test`.
        places: the indices of the images in the part, [N]; None means all of them.
    """

    def __init__(
        self, folder: Path, contents: Contents, part: str, places: NDArray[np.int64] | None = None
    ) -> None:
        self._folder, self._contents, self._part = folder, contents, part
        self._files = [file for file in contents.files if file.part == part]
        every = np.arange(sum(file.records for file in self._files))
        self._places = every if places is None else places
        self.dtype = np.dtype(contents.info.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """N, height, width (pixels), channels."""
        return (len(self._places), *self._contents.info.image_shape)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._places)

    def __getitem__(self, part: slice, /) -> "PackedImages":
        """A range of the images; none of them is read."""
        return PackedImages(self._folder, self._contents, self._part, self._places[part])

    def take(self, indices: NDArray[np.integer], /, axis: int) -> NDArray[Any]:
        """The images with these indices, [B, H, W, C]; `axis` must be 0.

        Raises:
            DataError: a record is damaged.
        """
        if axis != 0:
            raise ValueError(f"images are taken along axis 0, not {axis}")
        places = self._places[indices]
        try:
            records = self._records.__getitems__(places.tolist()) if len(places) else []
        except Exception as error:  # the C++ code may raise any exception
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"data.source: one of the {self._part} images {places.min()} to {places.max()} of "
                f"{self._folder} cannot be read: {reason}; {AGAIN}"
            ) from error
        return np.stack([self._image(record) for record in records]) if records else self._none

    @property
    def evidence(self) -> NDArray[np.uint8]:
        """A SHA-256, [32], of the digests of the files and the indices of these images."""
        digest = hashlib.sha256("\n".join(file.sha256 for file in self._files).encode())
        digest.update(self._places.astype("<i8").data)
        return np.frombuffer(digest.digest(), np.uint8)

    @cached_property
    def _records(self) -> Any:
        grain = importlib.import_module("grain")  # late, because it takes long
        return grain.sources.ArrayRecordDataSource(
            [str(self._folder / file.name) for file in self._files]
        )

    @property
    def _none(self) -> NDArray[Any]:
        return np.zeros((0, *self._contents.info.image_shape), self.dtype)

    def _image(self, record: bytes) -> NDArray[Any]:
        shape, stored = self._contents.info.image_shape, self.dtype.newbyteorder("<")
        expected = math.prod(shape) * stored.itemsize
        if len(record) != expected:
            raise DataError(
                f"data.source: a {self._part} image of {self._folder} has {len(record):,} bytes, "
                f"expected {expected:,}; {AGAIN}"
            )
        return np.frombuffer(record, stored).astype(self.dtype, copy=False).reshape(shape)


FROM_RECORDS = Reading(threads=2, ahead=2, evidence=lambda images: images.evidence)
"""Two threads, as for image files: reading waits for the disk, and takes little processor time."""
