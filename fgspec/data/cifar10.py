"""CIFAR-10 from its published archives or the folders they unpack to."""

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, Labels, checked_labels
from fgspec.data.moments import measured
from fgspec.data.numpy_pickle import load_numpy_pickle
from fgspec.data.places import candidates, is_dir, is_file, usual_folders
from fgspec.data.published import Publication, check_counts, check_md5, damage_reported, missing
from fgspec.data.unpacking import Bounded, most_unpacked, refuse_beyond_memory
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import CIFAR10, Search

PUBLICATION = Publication("CIFAR-10", ("https://www.cs.toronto.edu/~kriz/cifar.html",))
_PIXELS = 3 * 32 * 32
_CHUNK = 1 << 20

_Decoded = tuple[NDArray[np.uint8], Labels]


@dataclass(frozen=True)
class Layout:
    """One of the two published versions.

    Attributes:
        archive: name of the published archive.
        archive_md5: its md5.
        folder: name of the folder in it.
        train: names of the files of training images, in order.
        test: name of the file of test images.
        md5: md5 of the unpacked files, as far as published.
        decode: from a file's bytes to images [N, 32, 32, 3] uint8 and labels [N] int32; raises
            ValueError.
    """

    archive: str
    archive_md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    md5: Mapping[str, str]
    decode: Callable[[bytes], _Decoded]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files, training images first."""
        return (*self.train, self.test)


class Cifar10(sources.Cifar10):
    """The section with how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 32, 32, 3] uint8.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        places = usual_folders("cifar10") if self.path is None else candidates(self.path, search)
        place, layout = _located(places)
        contents = (_from_folder if place.is_dir() else _from_archive)(place, layout, self.verify)
        parts: dict[str, _Decoded] = {}
        for name in layout.files:
            with damage_reported(PUBLICATION, place / name, layout.md5.get(name)):
                parts[name] = layout.decode(contents[name])
        test_images, test_labels = parts[layout.test]
        dataset = Dataset(
            train_images=np.concatenate([parts[name][0] for name in layout.train]),
            train_labels=np.concatenate([parts[name][1] for name in layout.train]),
            test_images=test_images,
            test_labels=test_labels,
        )
        if self.verify:
            check_counts(PUBLICATION, place, dataset, CIFAR10)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """What is read."""
        return measured(CIFAR10.name, self.read(search))

    @classmethod
    def example(cls, folder: Path) -> Self:
        """The binary version with 10 images of noise a file, which are not the published ones."""
        random, layout = np.random.default_rng(0), LAYOUTS[1]
        (folder / layout.folder).mkdir()
        for name in layout.files:
            labels = np.arange(CIFAR10.classes, dtype=np.uint8)[:, np.newaxis]
            pixels = random.integers(0, 256, (len(labels), _PIXELS), np.uint8)
            content = np.concatenate([labels, pixels], axis=1).tobytes()
            (folder / layout.folder / name).write_bytes(content)
        return cls(path=str(folder), verify=False)


def _located(places: Sequence[Path]) -> tuple[Path, Layout]:
    """The first archive or folder there is; a place is one itself or the folder that holds it."""
    for place in places:
        for layout in LAYOUTS:
            for found in (place / layout.folder, place):
                if found.name == layout.folder and is_dir(found):
                    return found, layout
            for found in (place / layout.archive, place):
                if found.name == layout.archive and is_file(found):
                    return found, layout
    wanted = ", ".join(f"{layout.archive} or {layout.folder}/" for layout in LAYOUTS)
    md5 = ", ".join(f"{layout.archive_md5} of {layout.archive}" for layout in LAYOUTS)
    raise missing(PUBLICATION, f"any of {wanted}", places, md5)


def _from_folder(folder: Path, layout: Layout, verify: bool) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in layout.files:
        file, md5 = folder / name, layout.md5.get(name)
        if not is_file(file):
            raise missing(PUBLICATION, name, [folder], md5)
        with damage_reported(PUBLICATION, file, md5):
            refuse_beyond_memory(file.stat().st_size)
            contents[name] = file.read_bytes()
        if verify and md5:
            check_md5(PUBLICATION, file, contents[name], md5)
    return contents


def _from_archive(archive: Path, layout: Layout, verify: bool) -> dict[str, bytes]:
    with damage_reported(PUBLICATION, archive, layout.archive_md5):
        refuse_beyond_memory(archive.stat().st_size)
        packed = archive.read_bytes()
    if verify:
        check_md5(PUBLICATION, archive, packed, layout.archive_md5)
    contents: dict[str, bytes] = {}
    with damage_reported(PUBLICATION, archive, layout.archive_md5):
        stream = gzip.GzipFile(fileobj=io.BytesIO(packed))
        unpacked: Any = Bounded(stream, most_unpacked(len(packed)), "and no images do")
        # In the archive's own order: going back in a gzip stream means unpacking it again.
        with tarfile.open(fileobj=unpacked, mode="r|") as members:
            for member in members:
                name = PurePosixPath(member.name)
                if name.parent.name == layout.folder and name.name in layout.files:
                    contents[name.name] = _member(members, member)
        # A tar ends before its gzip stream does, whose end holds the checksum of all before it.
        while unpacked.read(_CHUNK):
            pass
        absent = [name for name in layout.files if name not in contents]
        if absent:
            raise ValueError(f"it lacks {layout.folder}/{absent[0]}")
    return contents


def _member(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    # A sparse file of a few bytes may say that it is as long as it likes.
    if not member.isreg() or member.issparse():
        raise ValueError(f"{member.name} in it is no plain file")
    content = members.extractfile(member)
    return content.read() if content is not None else b""


def _planes_to_images(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From a red, a green and a blue plane a row, [N, 3072], to [N, 32, 32, 3]."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _decode_python(content: bytes) -> _Decoded:
    batch = load_numpy_pickle(content)
    if not isinstance(batch, dict) or not {"data", "labels"} <= batch.keys():
        raise ValueError("it is no dictionary with 'data' and 'labels'")
    data, labels = batch["data"], batch["labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (_PIXELS,):
        raise ValueError(f"its 'data' is not an array of uint8 with the shape [N, {_PIXELS}]")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError("its 'labels' is not a list of integers")
    if not labels or len(labels) != len(data):
        raise ValueError(f"it holds {len(data)} images and {len(labels)} labels")
    return _planes_to_images(data), checked_labels(np.asarray(labels), CIFAR10.classes)


def _decode_binary(content: bytes) -> _Decoded:
    record = 1 + _PIXELS
    if not content or len(content) % record:
        raise ValueError(f"it has {len(content)} bytes, expected a multiple of {record}")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return _planes_to_images(records[:, 1:]), checked_labels(records[:, 0], CIFAR10.classes)


LAYOUTS = (
    Layout(
        archive="cifar-10-python.tar.gz",
        archive_md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        decode=_decode_python,
    ),
    Layout(
        archive="cifar-10-binary.tar.gz",
        archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        md5={},
        decode=_decode_binary,
    ),
)
