"""SVHN from its published MATLAB files of cropped digits."""

import importlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset, checked_labels
from fgspec.data.moments import measured
from fgspec.data.places import first_holding, is_file, published_places
from fgspec.data.published import Publication, check_counts, check_md5, damage_reported, missing
from fgspec.data.unpacking import most_unpacked, refuse_beyond_memory
from fgspec.spec import svhn
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search
from fgspec.spec.svhn import EXTRA_EXAMPLES, SVHN

PUBLICATION = Publication(svhn.Svhn.title, (svhn.Svhn.homepage,), "svhn")
TRAIN, TEST, EXTRA = "train_32x32.mat", "test_32x32.mat", "extra_32x32.mat"
# The digests are those of torchvision (torchvision/datasets/svhn.py).
MD5 = {
    TRAIN: "e26dedcc434d2e4c54c9b2d4a06d8373",
    TEST: "eb5a983be6a315427106f1b164d9cef3",
    EXTRA: "a93ce644f1a588dc4d68dda5feec44a7",
}
_MADE = ("SVHN", "housenumbers")
_IMAGE = SVHN.image_shape


class Svhn(svhn.Svhn):
    """The fields of this source, and how its files are read."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 32, 32, 3] uint8; the label of an image is its digit.

        Raises:
            DataError: a file is missing, damaged or not the published one.
        """
        places = published_places(self.path, SVHN.name, search)
        folder = first_holding(self.path, places, _MADE, _holds_any)
        looked_in = places if folder is None else (folder,)
        names = [TRAIN, *([EXTRA] if self.with_extra else [])]
        train = [self._part(looked_in, name) for name in names]
        test_images, test_labels = self._part(looked_in, TEST)
        images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
        dataset = Dataset(images, labels, test_images, test_labels)
        if self.verify:
            examples = SVHN.train_examples + EXTRA_EXAMPLES * self.with_extra
            info = replace(SVHN, train_examples=examples)
            check_counts(PUBLICATION, looked_in[0], dataset, info)
        return dataset

    def _part(
        self, looked_in: tuple[Path, ...], name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        file = looked_in[0] / name if looked_in else Path(name)
        if not is_file(file):
            raise missing(PUBLICATION, name, looked_in, MD5[name])
        with damage_reported(PUBLICATION, file, MD5[name]):
            refuse_beyond_memory(file.stat().st_size)
            content = file.read_bytes()
        if self.verify:
            check_md5(PUBLICATION, file, content, MD5[name])
        with damage_reported(PUBLICATION, file, MD5[name]):
            return decode(content)

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was read."""
        return measured(SVHN.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the names of its files."""
        return any(_holds_any(folder) for folder in (place, *(place / name for name in _MADE)))

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write stand-ins for the files, with 20 training and 10 test images of noise."""
        random = np.random.default_rng(0)
        for name, examples in ((TRAIN, 20), (TEST, 10)):
            images = random.integers(0, 256, (*_IMAGE, examples), np.uint8)
            labels = (1 + np.arange(examples, dtype=np.uint8) % SVHN.classes)[:, np.newaxis]
            _matlab().savemat(folder / name, {"X": images, "y": labels}, do_compression=True)
        return cls(path=str(folder), verify=False)


def _matlab() -> Any:
    # Importing scipy.io takes over a tenth of a second, which checking a spec does not need.
    return importlib.import_module("scipy.io")


def _holds_any(folder: Path) -> bool:
    return any(is_file(folder / name) for name in MD5)


def decode(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The images [N, 32, 32, 3] and the digits [N] of a MATLAB 5 file.

    Args:
        content: a file with the variables `X`, uint8 [32, 32, 3, N], and `y`, from 1 to 10, [N, 1].

    Raises:
        ValueError: the file is damaged, or has other contents.
    """
    try:
        shapes = {name: shape for name, shape, _ in _matlab().whosmat(io.BytesIO(content))}
    except Exception as error:  # reading a damaged file can raise any exception
        raise ValueError(f"its variables cannot be listed ({error or 'it is cut off'})") from error
    for name in ("X", "y"):
        if name not in shapes:
            there = ", ".join(sorted(shapes)) or "none"
            raise ValueError(
                f"it has no variable {name}, or is cut off; the variables there: {there}"
            )
    images, labels = shapes["X"], shapes["y"]
    if images[:3] != _IMAGE or len(images) != 4:
        raise ValueError(f"its X has the shape {images}, expected (32, 32, 3, N)")
    if labels not in ((images[3], 1), (1, images[3])) or not images[3]:
        raise ValueError(f"its y has the shape {labels}, expected ({images[3]}, 1)")
    size = int(np.prod(images))
    if size > most_unpacked(len(content)):
        raise ValueError(
            f"its X claims to unpack from {len(content):,} to {size:,} bytes, too many for images"
        )
    refuse_beyond_memory(2 * size)
    try:
        arrays = _matlab().loadmat(io.BytesIO(content), variable_names=["X", "y"])
        planes, classes = arrays["X"], arrays["y"].reshape(-1)
    except Exception as error:  # as above
        raise ValueError(f"its variables cannot be read ({error or 'it is cut off'})") from error
    if planes.dtype != np.uint8 or classes.dtype.kind not in "iuf":
        raise ValueError(f"its X is {planes.dtype} and its y {classes.dtype}, expected uint8")
    if classes.dtype.kind == "f" and not np.array_equal(classes, np.round(classes)):
        raise ValueError("its y has numbers that are not whole")
    digits = (checked_labels(classes, SVHN.classes, first=1) + 1) % SVHN.classes
    return np.ascontiguousarray(planes.transpose(3, 0, 1, 2)), digits
