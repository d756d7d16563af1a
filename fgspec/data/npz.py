"""A data set of one's own in a NumPy archive."""

import difflib
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fgspec.data.dataset import AnyLabels, Dataset, Labels, Pixels, checked_labels, checked_numbers
from fgspec.data.moments import measured
from fgspec.data.places import candidates, is_file, listed, shown
from fgspec.data.unpacking import most_unpacked, refuse_beyond_memory
from fgspec.errors import DataError
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo, LabelKind, is_channels_first
from fgspec.spec.sources import Search

_MAX_CLASSES = 2**31 - 1
_FIELDS = ("train_images", "train_labels", "test_images", "test_labels")
_START = b"PK\x03\x04"
# Those that NumPy writes. Others unpack to more than thousandfold, and zipfile's LZMA takes up to
# 4 GiB for a dictionary before it unpacks anything.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_INTEGERS = "iu"
"""Kinds of dtypes; NumPy counts spans of time among its integers too."""
# A head is a Python literal, which NumPy gives to Python's own reader.
_HEADLESS = (ValueError, TypeError, SyntaxError, RecursionError, TokenError)
_SAVE = "write it again with numpy.savez"
_FOLD = 300
"""Bytes that one may become: drawings in black and white pack 116 to 1 (dSprites), zeros 1,030."""
_LOST_SCALE = 100
"""Times that the brightest pixels of two parts of a data set may differ."""


class Npz(sources.Npz):
    """The section with how its archive is read."""

    def read(self, search: Search = None) -> Dataset:
        """The four arrays; classes are 0 to the greatest training label.

        Heads are read and compared first, so that nothing is unpacked that does not fit.

        Raises:
            DataError: the archive or an array is missing, or not what `Npz` says it must be.
        """
        file = _located(self.path, search)
        names = {field: getattr(self, field) for field in _FIELDS}
        try:
            with zipfile.ZipFile(file) as archive:
                members = {field: _member(archive, field, names[field]) for field in _FIELDS}
                heads = {field: _head(archive, member) for field, member in members.items()}
                _check_heads(heads, self.labels)
                refuse_beyond_memory(sum(head.size for head in heads.values()))
                arrays = {field: _array(archive, member) for field, member in members.items()}
        except _Unfit as error:
            raise _fault(file, error.field, str(error)) from error
        except DataError:
            raise
        except Exception as error:  # a damaged archive can make its readers raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"data.source.path: {file} cannot be read: {reason}; {_SAVE}"
            ) from error
        train_labels, test_labels = _both_labels(file, arrays, self.labels)
        dataset = Dataset(
            train_images=_images(file, "train_images", arrays["train_images"]),
            train_labels=train_labels,
            test_images=_images(file, "test_images", arrays["test_images"]),
            test_labels=test_labels,
        )
        _check_agreement(file, dataset)
        return dataset

    def describe(self, search: Search = None) -> DatasetInfo:
        """What is read; mean and deviation are measured on all training images."""
        return measured(Path(self.path).stem, self.read(search), label=self.labels)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """An archive of 24 and 6 float images of three classes."""
        random = np.random.default_rng(0)
        sizes, arrays = {"train": 24, "test": 6}, dict[str, NDArray[Any]]()
        for part, examples in sizes.items():
            arrays[f"{part}_images"] = random.random((examples, 6, 5, 2), np.float32)
            arrays[f"{part}_labels"] = np.arange(examples) % 3
        np.savez(folder / "example.npz", allow_pickle=False, **arrays)
        return cls(path=str(folder / "example.npz"))


def images_in(file: Path, names: Sequence[str]) -> Pixels:
    """The images of an archive; labels are not needed.

    Args:
        file: the archive.
        names: of the array, [N, H, W] or [N, H, W, C], uint8 or float32: the first that is there.

    Raises:
        DataError: the archive or the array is missing, or not what it must be.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            there = {member.removesuffix(".npy") for member in archive.namelist()}
            name = next((name for name in names if name in there), names[0])
            member = _member(archive, name, name)
            head = _head(archive, member)
            _check_images(name, head)
            refuse_beyond_memory(head.size)
            return _array(archive, member)
    except _Unfit as error:
        raise DataError(f"{file}: {error}") from error
    except DataError:
        raise
    except Exception as error:  # as in `Npz.read`
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: cannot be read: {reason}; {_SAVE}") from error


@dataclass(frozen=True)
class _Head:
    """What an array's head says of it.

    Attributes:
        shape: of the array.
        dtype: of its numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def per_image(self) -> tuple[int, ...]:
        """Height, width and channels, of heads of images."""
        return (*self.shape[1:], 1)[:3]


class _Unfit(ValueError):
    """An array is not what it must be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True)
class _Member:
    """An array of the archive: the field that names it, its name, its place."""

    field: str
    name: str
    info: zipfile.ZipInfo


def _located(path: str, search: Sequence[Path] | None) -> Path:
    places = candidates(path, search)
    file = next((place for place in places if is_file(place)), None)
    if file is None:
        raise DataError(
            f"data.source.path: {shown(path)} was not found; looked for {listed(places)}; write it "
            "with numpy.savez, or correct the path"
        )
    try:
        with file.open("rb") as stream:
            begins = stream.read(len(_START)) == _START
        whole = begins and zipfile.is_zipfile(file)
    except OSError as error:
        raise DataError(
            f"data.source.path: {file} cannot be read: {error.strerror}; make it readable"
        ) from error
    if not whole:
        raise DataError(f"data.source.path: {file} is not an npz archive or is cut off; {_SAVE}")
    return file


def _fault(file: Path, field: str, reason: str) -> DataError:
    return DataError(f"data.source.{field}: in {file}, {reason}")


def _member(archive: zipfile.ZipFile, field: str, name: str) -> _Member:
    names = [info.filename for info in archive.infolist()]
    arrays = [other.removesuffix(".npy") for other in names if other.endswith(".npy")]
    if name not in arrays:
        if name in names:
            raise _Unfit(field, f"{name!r} is a file that is no array; {_SAVE}")
        near = difflib.get_close_matches(name, arrays, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(sorted(arrays)) or "none"
        raise _Unfit(field, f"there is no array {name!r}; the arrays there: {known}{hint}")
    if arrays.count(name) > 1:
        raise _Unfit(field, f"there are {arrays.count(name)} arrays {name!r}; {_SAVE}")
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _PACKINGS:
        raise _Unfit(field, f"array {name!r} is packed in a way that NumPy does not use; {_SAVE}")
    if info.file_size > most_unpacked(info.compress_size, _FOLD):
        raise _Unfit(
            field,
            f"array {name!r} is {info.compress_size:,} bytes that claim to be "
            f"{info.file_size:,}, which no images are; {_SAVE}, unpacked",
        )
    return _Member(field, name, info)


def _head(archive: zipfile.ZipFile, member: _Member) -> _Head:
    """What the head says, if it agrees with how long the member is."""
    with archive.open(member.info) as stream:
        try:
            head = _read_head(stream)
        except _HEADLESS as error:
            raise _Unfit(
                member.field,
                f"array {member.name!r} has no head that can be read ({error}); {_SAVE}",
            ) from error
        start = stream.tell()
    if head.dtype.hasobject:
        raise _Unfit(
            member.field,
            f"array {member.name!r} is not plain numbers (Object arrays cannot be loaded without "
            "pickles, which can run code); save uint8 or float32",
        )
    if start + head.size != member.info.file_size:
        raise _Unfit(
            member.field,
            f"the head of array {member.name!r} says {shown(str(head.shape))} of {head.dtype}, but "
            f"{member.info.file_size - start:,} bytes follow; {_SAVE}",
        )
    return head


def _read_head(stream: IO[bytes]) -> _Head:
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        # Version 3 only adds names of fields beyond ASCII, and images have no named fields.
        raise ValueError(f"format {version[0]}.{version[1]} is not 1.0 or 2.0")
    # True is an int to Python and to NumPy.
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"the shape {shape} is not of counts")
    return _Head(shape, dtype)


def _check_heads(heads: Mapping[str, _Head], kind: LabelKind) -> None:
    for part in ("train", "test"):
        images, labels = heads[f"{part}_images"], heads[f"{part}_labels"]
        _check_images(f"{part}_images", images)
        _check_labels(f"{part}_labels", labels, kind)
        if images.shape[0] != labels.shape[0]:
            raise _Unfit(
                f"{part}_labels",
                f"there are {labels.shape[0]} labels for {images.shape[0]} images, expected one "
                "an image, along the first axis of both",
            )
    train, test = (heads[f"{part}_labels"].shape[1:] for part in ("train", "test"))
    if train != test:
        raise _Unfit(
            "test_labels",
            f"a test label has the shape {test}, a training label {train}, expected the same",
        )


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same numbers in this machine's order of bytes."""
    return dtype.newbyteorder("=")


def _check_images(field: str, head: _Head) -> None:
    if _native(head.dtype) not in (np.uint8, np.float32):
        cast = "uint8" if head.dtype.kind in _INTEGERS else "float32"
        raise _Unfit(
            field,
            f"images are {head.dtype}, expected uint8, or float32 from 0 to 1; if that is what "
            f'they hold, save images.astype("{cast}")',
        )
    if len(head.shape) not in (3, 4) or 0 in head.shape:
        raise _Unfit(
            field,
            f"images have shape {head.shape}, expected [N, H, W] or [N, H, W, C], none of them 0; "
            "save images.reshape(N, H, W, C)",
        )
    if is_channels_first(head.per_image):
        channels, rows, columns = head.per_image
        raise _Unfit(
            field,
            f"images have shape {head.shape}, which looks like {channels} channels of {rows}x"
            f"{columns} pixels with the channels first; channels come last: save "
            f"numpy.moveaxis(images, 1, -1), or, if each is {channels} rows of {rows} pixels with "
            f"{columns} channels, images.swapaxes(1, 2)",
        )


def _check_labels(field: str, head: _Head, kind: LabelKind) -> None:
    if kind != "class":
        _check_numbers(field, head, kind)
        return
    if head.dtype.kind not in _INTEGERS:
        raise _Unfit(
            field,
            f"labels are {head.dtype}, expected integers from 0; save "
            "numpy.unique(labels, return_inverse=True)[1], or of numbers to predict set "
            "data.source.labels: vector",
        )
    if len(head.shape) != 1 or not head.shape[0]:
        hint = (
            "; of one-hot labels save labels.argmax(axis=1), or of several labels an image set "
            "data.source.labels: binary"
            if len(head.shape) == 2
            else ""
        )
        raise _Unfit(field, f"labels have shape {head.shape}, expected [N], N at least 1{hint}")


def _check_numbers(field: str, head: _Head, kind: LabelKind) -> None:
    """Labels that are no classes: [N, k] of numbers; [N] is one number an image."""
    if head.dtype.kind not in f"{_INTEGERS}f{'b' * (kind == 'binary')}":
        wanted = "numbers" if kind == "vector" else "0 and 1"
        raise _Unfit(
            field, f"labels are {head.dtype}, expected {wanted}; save labels.astype(numpy.float32)"
        )
    if len(head.shape) not in (1, 2) or 0 in head.shape:
        raise _Unfit(
            field,
            f"labels have shape {head.shape}, expected [N, k], none of them 0; save "
            "labels.reshape(len(labels), -1)",
        )


def _array(archive: zipfile.ZipFile, member: _Member) -> NDArray[Any]:
    with archive.open(member.info) as stream:
        array = npy.read_array(stream, allow_pickle=False)
        # The checksum is compared at the end alone, which is one read further.
        if stream.read(1):
            raise ValueError(f"array {member.name!r} goes on after its end")
    return array.astype(_native(array.dtype), copy=False)


def _images(file: Path, field: str, array: NDArray[Any]) -> Pixels:
    if array.dtype == np.float32:
        lowest, highest = array.min(), array.max()
        if not (lowest >= 0 and highest <= 1):
            found = "NaN" if np.isnan(lowest) else f"values from {lowest:g} to {highest:g}"
            raise _fault(file, field, f"float images hold {found}, expected 0 to 1")
    return np.ascontiguousarray(array if array.ndim == 4 else array[..., np.newaxis])


def _both_labels(
    file: Path, arrays: Mapping[str, NDArray[Any]], kind: LabelKind
) -> tuple[AnyLabels, AnyLabels]:
    """Those of training and of test images."""
    names = ("train_labels", "test_labels")
    if kind == "class":
        train = _labels(file, names[0], arrays[names[0]], _MAX_CLASSES)
        _check_classes(file, train)
        return train, _labels(file, names[1], arrays[names[1]], int(train.max()) + 1)
    train, test = (_numbers(file, name, arrays[name], kind) for name in names)
    return train, test


def _numbers(file: Path, field: str, array: NDArray[Any], kind: LabelKind) -> AnyLabels:
    try:
        return checked_numbers(array.reshape(len(array), -1), kind)
    except ValueError as error:
        raise _fault(file, field, str(error)) from error


def _labels(file: Path, field: str, array: NDArray[Any], classes: int) -> Labels:
    try:
        return checked_labels(array, classes)
    except ValueError as error:
        raise _fault(file, field, str(error)) from error


def _check_classes(file: Path, labels: Labels) -> None:
    """Every class has a training image: a network has outputs for all of them."""
    present = np.unique(labels)
    if present[-1] < 1:
        raise _fault(file, "train_labels", "all labels are 0, expected at least two classes")
    if len(present) <= present[-1]:
        absent = int(np.argmax(present != np.arange(len(present))))
        raise _fault(
            file,
            "train_labels",
            f"labels go up to {present[-1]}, but there are {len(present)} classes: no image has "
            f"the label {absent}; leave out images without a label, and number the others without "
            "gaps: numpy.searchsorted(numpy.unique(train_labels), labels)",
        )


def _check_agreement(file: Path, dataset: Dataset) -> None:
    train, test = np.asarray(dataset.train_images), np.asarray(dataset.test_images)
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        raise _fault(
            file,
            "test_images",
            f"a test image is {test.dtype} {test.shape[1:]}, a training image {train.dtype} "
            f"{train.shape[1:]}, expected the same",
        )
    # One part was divided by 255 before it was stored, and the other was not.
    brightest = {"train": float(train.max()), "test": float(test.max())}
    low, high = sorted(brightest, key=lambda part: brightest[part])
    if 0 < brightest[low] * _LOST_SCALE <= brightest[high]:
        raise _fault(
            file,
            f"{low}_images",
            f"the brightest pixel is {brightest[low]:g}, that of {high}_images "
            f"{brightest[high]:g}, expected one scale for both; divide both by the same number",
        )
