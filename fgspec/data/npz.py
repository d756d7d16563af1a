"""Reads the user's own data set from a NumPy archive."""

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
# The methods that NumPy writes with. Others can unpack to more than a thousand times their size,
# and zipfile's LZMA takes up to 4 GiB for a dictionary before it unpacks anything.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_INTEGERS = "iu"
"""The kinds of integer dtypes. `np.issubdtype` would count time spans among the integers too."""
# A header is a Python literal, which NumPy passes to Python's own parser.
_HEADER_ERRORS = (ValueError, TypeError, SyntaxError, RecursionError, TokenError)
_SAVE = "write it again with numpy.savez"
_FOLD = 300
"""How many bytes one may unpack to; black-and-white drawings (dSprites) reach 116, zeros 1,030."""
_LOST_SCALE = 100
"""The factor from which on the brightest pixels of two parts must have different scales."""


class Npz(sources.Npz):
    """The fields of this source, and how its archive is read."""

    def read(self, search: Search = None) -> Dataset:
        """Read the four arrays; classes are numbered from 0 to the greatest training label.

        The arrays' headers are read and compared first, so that arrays that do not fit are never
        unpacked.

        Raises:
            DataError: the archive or an array is missing, or is not as `Npz` describes it.
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
        except Exception as error:  # reading a damaged archive can raise any exception
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
        """Describe what was read; mean and deviation are measured on all training images."""
        return measured(Path(self.path).stem, self.read(search), label=self.labels)

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write an archive of 24 training and 6 test images of three classes, as float32."""
        random = np.random.default_rng(0)
        sizes, arrays = {"train": 24, "test": 6}, dict[str, NDArray[Any]]()
        for part, examples in sizes.items():
            arrays[f"{part}_images"] = random.random((examples, 6, 5, 2), np.float32)
            arrays[f"{part}_labels"] = np.arange(examples) % 3
        np.savez(folder / "example.npz", allow_pickle=False, **arrays)
        return cls(path=str(folder / "example.npz"))


def images_in(file: Path, names: Sequence[str]) -> Pixels:
    """Read the images of an archive, which needs no labels.

    Args:
        file: the archive.
        names: possible names of the array, [N, H, W] or [N, H, W, C], uint8 or float32. The first
            name that the archive has is used.

    Raises:
        DataError: the archive or the array is missing, or has the wrong dtype or shape.
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
    """The header of an array.

    Attributes:
        shape: the shape of the array.
        dtype: the dtype of its numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """The size of the array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def per_image(self) -> tuple[int, ...]:
        """Height, width and channels, if it is the header of an array of images."""
        return (*self.shape[1:], 1)[:3]


class _Unfit(ValueError):
    """An array does not have the required form."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True)
class _Member:
    """An array of the archive: the field that names it, its name, and its entry in the archive."""

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
            raise _Unfit(field, f"{name!r} is a file, but not an array; {_SAVE}")
        near = difflib.get_close_matches(name, arrays, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(sorted(arrays)) or "none"
        raise _Unfit(field, f"there is no array {name!r}; the arrays there: {known}{hint}")
    if arrays.count(name) > 1:
        raise _Unfit(field, f"there are {arrays.count(name)} arrays {name!r}; {_SAVE}")
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in _PACKINGS:
        raise _Unfit(
            field, f"array {name!r} is compressed by a method that NumPy does not use; {_SAVE}"
        )
    if info.file_size > most_unpacked(info.compress_size, _FOLD):
        raise _Unfit(
            field,
            f"array {name!r} has {info.compress_size:,} bytes that claim to unpack to "
            f"{info.file_size:,}, too many for images; {_SAVE}, which does not compress",
        )
    return _Member(field, name, info)


def _head(archive: zipfile.ZipFile, member: _Member) -> _Head:
    """The header of an array, after comparing it with the size of the archive's entry."""
    with archive.open(member.info) as stream:
        try:
            head = _read_head(stream)
        except _HEADER_ERRORS as error:
            raise _Unfit(
                member.field,
                f"the header of array {member.name!r} cannot be read ({error}); {_SAVE}",
            ) from error
        start = stream.tell()
    if head.dtype.hasobject:
        raise _Unfit(
            member.field,
            f"array {member.name!r} holds Python objects instead of numbers (they are pickled, and "
            "loading a pickle can run code); save an array of numbers, such as uint8 or float32",
        )
    if start + head.size != member.info.file_size:
        raise _Unfit(
            member.field,
            f"the header of array {member.name!r} announces {shown(str(head.shape))} of "
            f"{head.dtype}, but {member.info.file_size - start:,} bytes follow; {_SAVE}",
        )
    return head


def _read_head(stream: IO[bytes]) -> _Head:
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        # Version 3 only adds non-ASCII names of fields, and images have no named fields.
        raise ValueError(f"format {version[0]}.{version[1]} is not 1.0 or 2.0")
    # `isinstance` would accept True as an int.
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"the shape {shape} does not consist of lengths")
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
                "label per image, along the first axis",
            )
    train, test = (heads[f"{part}_labels"].shape[1:] for part in ("train", "test"))
    if train != test:
        raise _Unfit(
            "test_labels",
            f"a test label has the shape {test}, a training label {train}; save both with the same "
            "shape",
        )


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same dtype in this machine's byte order."""
    return dtype.newbyteorder("=")


def _check_images(field: str, head: _Head) -> None:
    if _native(head.dtype) not in (np.uint8, np.float32):
        cast = "uint8" if head.dtype.kind in _INTEGERS else "float32"
        raise _Unfit(
            field,
            f"images are {head.dtype}, expected uint8, or float32 from 0 to 1; if their values are "
            f'in that range, save images.astype("{cast}")',
        )
    if len(head.shape) not in (3, 4) or 0 in head.shape:
        raise _Unfit(
            field,
            f"images have shape {head.shape}, expected [N, H, W] or [N, H, W, C] with every length "
            "at least 1; save images.reshape(N, H, W, C)",
        )
    if is_channels_first(head.per_image):
        channels, rows, columns = head.per_image
        raise _Unfit(
            field,
            f"images have shape {head.shape}, which looks like {channels} channels of {rows}x"
            f"{columns} pixels with the channels first, but channels must come last; save "
            f"numpy.moveaxis(images, 1, -1), or images.swapaxes(1, 2) if each image has {channels} "
            f"rows of {rows} pixels with {columns} channels",
        )


def _check_labels(field: str, head: _Head, kind: LabelKind) -> None:
    if kind != "class":
        _check_numbers(field, head, kind)
        return
    if head.dtype.kind not in _INTEGERS:
        raise _Unfit(
            field,
            f"labels are {head.dtype}, expected integers from 0; save "
            "numpy.unique(labels, return_inverse=True)[1], or, if the labels are numbers to "
            "predict, set data.source.labels: vector",
        )
    if len(head.shape) != 1 or not head.shape[0]:
        hint = (
            "; for one-hot labels save labels.argmax(axis=1), or, if an image has several labels, "
            "set data.source.labels: binary"
            if len(head.shape) == 2
            else ""
        )
        raise _Unfit(field, f"labels have shape {head.shape}, expected [N], N at least 1{hint}")


def _check_numbers(field: str, head: _Head, kind: LabelKind) -> None:
    """Check the header of labels that are not classes: [N, k]; [N] is one number per image."""
    if head.dtype.kind not in f"{_INTEGERS}f{'b' * (kind == 'binary')}":
        wanted = "numbers" if kind == "vector" else "0 and 1"
        raise _Unfit(
            field, f"labels are {head.dtype}, expected {wanted}; save labels.astype(numpy.float32)"
        )
    if len(head.shape) not in (1, 2) or 0 in head.shape:
        raise _Unfit(
            field,
            f"labels have shape {head.shape}, expected [N, k] with both at least 1; save "
            "labels.reshape(len(labels), -1)",
        )


def _array(archive: zipfile.ZipFile, member: _Member) -> NDArray[Any]:
    with archive.open(member.info) as stream:
        array = npy.read_array(stream, allow_pickle=False)
        # zipfile compares the checksum only at the end, which this read reaches.
        if stream.read(1):
            raise ValueError(f"array {member.name!r} has data after its end")
    return array.astype(_native(array.dtype), copy=False)


def _images(file: Path, field: str, array: NDArray[Any]) -> Pixels:
    if array.dtype == np.float32:
        lowest, highest = array.min(), array.max()
        if not (lowest >= 0 and highest <= 1):
            values = "NaN" if np.isnan(lowest) else f"values from {lowest:g} to {highest:g}"
            raise _fault(
                file, field, f"float images hold {values}, expected 0 to 1; scale them to [0, 1]"
            )
    return np.ascontiguousarray(array if array.ndim == 4 else array[..., np.newaxis])


def _both_labels(
    file: Path, arrays: Mapping[str, NDArray[Any]], kind: LabelKind
) -> tuple[AnyLabels, AnyLabels]:
    """The labels of the training images and of the test images."""
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
    """Check that every class has a training image, because the network has an output for it."""
    present = np.unique(labels)
    if present[-1] < 1:
        raise _fault(file, "train_labels", "all labels are 0, expected at least two classes")
    if len(present) <= present[-1]:
        absent = int(np.argmax(present != np.arange(len(present))))
        raise _fault(
            file,
            "train_labels",
            f"labels go up to {present[-1]}, but there are {len(present)} classes: no image has "
            f"the label {absent}; leave out images without a label, and number the classes without "
            "gaps by numpy.searchsorted(numpy.unique(train_labels), labels)",
        )


def _check_agreement(file: Path, dataset: Dataset) -> None:
    train, test = np.asarray(dataset.train_images), np.asarray(dataset.test_images)
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        raise _fault(
            file,
            "test_images",
            f"a test image is {test.dtype} {test.shape[1:]}, a training image {train.dtype} "
            f"{train.shape[1:]}; save both with the same dtype and shape",
        )
    # Most likely one part was divided by 255 before it was stored, and the other was not.
    brightest = {"train": float(train.max()), "test": float(test.max())}
    low, high = sorted(brightest, key=lambda part: brightest[part])
    if 0 < brightest[low] * _LOST_SCALE <= brightest[high]:
        raise _fault(
            file,
            f"{low}_images",
            f"the brightest pixel is {brightest[low]:g}, but that of {high}_images is "
            f"{brightest[high]:g}, so their scales differ; divide both by the same number",
        )
