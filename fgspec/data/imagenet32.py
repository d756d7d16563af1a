"""ImageNet in 32x32 pixels from its published batches."""

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np

from fgspec.data.cifar import PIXELS, Decoded, from_batch, planes_to_images
from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured
from fgspec.data.npz_members import arrays_of, member
from fgspec.data.places import first_holding, is_dir, is_file, published_places
from fgspec.data.published import Publication, check_counts, damage_reported, missing
from fgspec.data.unpacking import refuse_beyond_memory
from fgspec.spec import imagenet32
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.imagenet32 import IMAGENET32
from fgspec.spec.sources import Search

PUBLICATION = Publication(
    imagenet32.ImageNet32.title,
    ("https://image-net.org/download-images.php", imagenet32.ImageNet32.homepage),
    "imagenet32",
)
TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = "val_data"
ARCHIVES = (
    "Imagenet32_train.zip",
    "Imagenet32_val.zip",
    "Imagenet32_train_npz.zip",
    "Imagenet32_val_npz.zip",
)
# In bytes, from TFDS (datasets/imagenet_resized/checksums.tsv).
SIZES = {"Imagenet32_train_npz.zip": 3_580_435_279, "Imagenet32_val_npz.zip": 139_697_668}
# The folders that archives unpack to, and one that other tools put all batches into.
_FOLDERS = (*(Path(name).stem for name in ARCHIVES), "imagenet-32-batches-py")
_MADE = ("imagenet32", "Imagenet32", *_FOLDERS)

_Open = Callable[[], bytes]


class ImageNet32(imagenet32.ImageNet32):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 32, 32, 3] uint8.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        places = published_places(self.path, PUBLICATION.source, search)
        root = first_holding(self.path, places, _MADE, _holds_any)
        looked_in = places if root is None else (root,)
        batches = {} if root is None else _batches(root, self.verify)
        test_images, test_labels = _decoded(batches, TEST, looked_in)
        train = [_decoded(batches, name, looked_in) for name in TRAIN]
        labels = np.concatenate([labels for _, labels in train])
        # Each batch is freed once it is copied. The memory of `np.empty` is taken only when it is
        # written to, so there is never much more than one copy of all images.
        images, stop = np.empty((len(labels), *test_images.shape[1:]), np.uint8), len(labels)
        while train:
            part, _ = train.pop()
            images[stop - len(part) : stop] = part
            stop -= len(part)
        dataset = Dataset(images, labels, test_images, test_labels)
        if self.verify:
            check_counts(PUBLICATION, looked_in[0], dataset, IMAGENET32)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(PUBLICATION.source, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the names of its batches and archives."""
        return any(_holds_any(folder) for folder in (place, *(place / name for name in _MADE)))

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the batches, each with 6 noise images of 3 classes."""
        random = np.random.default_rng(0)
        for name in (*TRAIN, TEST):
            data = random.integers(0, 256, (6, PIXELS), np.uint8)
            batch = {"data": data, "labels": [1, 2, 3, 1, 2, 3], "mean": data.mean(0)}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
        return cls(path=str(folder), verify=False)


def _holders(root: Path) -> Iterator[Path]:
    """Folders and archives in which batches may be."""
    yield root
    yield from (place for name in _FOLDERS if is_dir(place := root / name))
    yield from (place for name in ARCHIVES if is_file(place := root / name))


def _holds_any(place: Path) -> bool:
    batches = (f"{name}{ending}" for name in (*TRAIN, TEST) for ending in ("", ".npz"))
    return any(is_file(place / name) for name in (*batches, *ARCHIVES)) or any(
        is_file(place / folder / f"{TEST}{ending}")
        for folder in _FOLDERS
        for ending in ("", ".npz")
    )


def _batches(root: Path, verify: bool) -> dict[str, tuple[Path, _Open]]:
    """The path of each batch that exists, and a function that returns its bytes."""
    batches: dict[str, tuple[Path, _Open]] = {}
    for holder in _holders(root):
        if holder.suffix == ".zip" and is_file(holder):
            here = _of_archive(holder, verify)
        else:
            files = (holder / f"{name}{end}" for name in (*TRAIN, TEST) for end in ("", ".npz"))
            here = {file.stem: (file, _of_file(file)) for file in files if is_file(file)}
        batches = here | batches
    return batches


def _of_file(file: Path) -> _Open:
    def read() -> bytes:
        refuse_beyond_memory(file.stat().st_size)
        return file.read_bytes()

    return read


def _of_archive(file: Path, verify: bool) -> dict[str, tuple[Path, _Open]]:
    batches: dict[str, tuple[Path, _Open]] = {}
    with damage_reported(PUBLICATION, file, None):
        size = file.stat().st_size
        if verify and size != SIZES.get(file.name, size):
            raise ValueError(f"it has {size:,} bytes, expected {SIZES[file.name]:,}")
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise ValueError(f"it is not a zip archive or is cut off ({error})") from error
        for info in archive.infolist():
            name = PurePosixPath(info.filename).stem
            if name in (*TRAIN, TEST):
                place = file / info.filename
                batches[name] = (place, lambda info=info: member(archive, info))
    return batches


def _decoded(
    batches: dict[str, tuple[Path, _Open]], name: str, looked_in: tuple[Path, ...]
) -> Decoded:
    """The images and labels of a batch, which is a pickle or an .npz archive."""
    if name not in batches:
        raise missing(PUBLICATION, f"{name} or {name}.npz", looked_in, None)
    place, read = batches[name]
    with damage_reported(PUBLICATION, place, None):
        content = read()
        if place.suffix != ".npz":
            return from_batch(content, "labels", IMAGENET32.classes, first=1)
        data, labels = arrays_of(io.BytesIO(content), "data", "labels")
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS:
            raise ValueError(
                f"its data are {data.dtype} {data.shape}, expected uint8 [N, {PIXELS}]"
            )
        if labels.dtype.kind not in "iu" or labels.shape != (len(data),) or not len(data):
            raise ValueError(
                f"its labels are {labels.dtype} {labels.shape}, expected integers [{len(data)}]"
            )
        return planes_to_images(data), checked_labels(labels, IMAGENET32.classes, first=1)
