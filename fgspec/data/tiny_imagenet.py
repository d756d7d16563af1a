"""Tiny ImageNet, read from the folder that its archive unpacks to."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fgspec.data.dataset import Dataset
from fgspec.data.image_files import ENDINGS, FROM_FILES, ImageFiles, imaging
from fgspec.data.image_folder import entries, unlisted
from fgspec.data.moments import measured
from fgspec.data.places import first_holding, is_dir, is_file, published_places
from fgspec.data.published import (
    Publication,
    check_counts,
    damage_reported,
    missing,
)
from fgspec.errors import DataError
from fgspec.spec import tiny_imagenet
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search
from fgspec.spec.tiny_imagenet import TINY_IMAGENET

PUBLICATION = Publication(
    tiny_imagenet.TinyImageNet.title, (tiny_imagenet.TinyImageNet.homepage,), "tiny_imagenet"
)
_MADE = ("tiny-imagenet-200",)
_CLASSES, _ANNOTATIONS, _IMAGES = "wnids.txt", "val_annotations.txt", "images"
_FIELDS = 6
"""Fields of a line of annotations: file, class, and the four sides of a box."""


class TinyImageNet(tiny_imagenet.TinyImageNet):
    """The fields of this source, and how its folders are listed."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 64, 64, 3] uint8, decoded when a batch needs them; classes are sorted.

        Raises:
            DataError: a file or folder is missing or damaged, or counts are not the published ones.
            UserError: Pillow is not installed.
        """
        places = published_places(self.path, TINY_IMAGENET.name, search)
        root = first_holding(self.path, places, _MADE, _is_root)
        if root is None:
            raise missing(PUBLICATION, f"{_CLASSES} beside train/ and val/", places, None)
        classes = _classes(root, self.verify)
        train: list[tuple[str, int, int]] = []
        for name, label in classes.items():
            train += _listed(root, f"train/{name}/{_IMAGES}", label)
        tested = _annotated if is_file(root / "val" / _ANNOTATIONS) else _sorted_into_folders
        train_images, train_labels = _files(root, train)
        test_images, test_labels = _files(root, tested(root, classes))
        dataset = Dataset(
            train_images, train_labels, test_images, test_labels, FROM_FILES, names=tuple(classes)
        )
        if self.verify:
            check_counts(PUBLICATION, root, dataset, TINY_IMAGENET)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was listed; mean and deviation are measured on up to 1,024 images."""
        return measured(TINY_IMAGENET.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize the data set by the list of its classes beside its folders."""
        return any(_is_root(folder) for folder in (place, *(place / name for name in _MADE)))

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write two classes, each with three training images and one test image of noise."""
        random, names = np.random.default_rng(0), ("n00000001", "n00000002")
        (folder / _CLASSES).write_text("".join(f"{name}\n" for name in reversed(names)))
        (folder / "val" / _IMAGES).mkdir(parents=True)
        lines = ""
        for label, name in enumerate(names):
            made = folder / "train" / name / _IMAGES
            made.mkdir(parents=True)
            files = [made / f"{name}_{number}.JPEG" for number in range(3)]
            for file in (*files, folder / "val" / _IMAGES / f"val_{label}.JPEG"):
                pixels = random.integers(0, 256, TINY_IMAGENET.image_shape, dtype=np.uint8)
                imaging().fromarray(pixels).save(file)
            lines += f"val_{label}.JPEG\t{name}\t0\t0\t63\t63\n"
        (folder / "val" / _ANNOTATIONS).write_text(lines)
        return cls(path=str(folder), verify=False)


def _is_root(place: Path) -> bool:
    return is_file(place / _CLASSES) and is_dir(place / "train")


def _classes(root: Path, verify: bool) -> dict[str, int]:
    """The label of every class, which is its position among the sorted names."""
    file = root / _CLASSES
    with damage_reported(PUBLICATION, file, None):
        names = file.read_text().split()
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(
                f"it lists {len(names)} classes, of which {len(set(names))} are different"
            )
    if len(names) > TINY_IMAGENET.classes or (verify and len(names) != TINY_IMAGENET.classes):
        raise DataError(
            f"data.source: {file} lists {len(names)} classes, expected {TINY_IMAGENET.classes}; "
            f"{PUBLICATION.advice([root])}, or set data.source.verify: false to read a part of it"
        )
    return {name: label for label, name in enumerate(sorted(names))}


def _listed(root: Path, folder: str, label: int) -> list[tuple[str, int, int]]:
    """The name, size and label of every image in a folder, sorted; there is at least one.

    Raises:
        DataError: the folder is missing, or has no images.
    """
    place = root / folder
    if not is_dir(place):
        raise missing(PUBLICATION, f"the folder {folder}/", [root], None)
    with unlisted(place):
        images = [e for e in entries(place) if e.name.lower().endswith(ENDINGS) and e.is_file()]
        files = sorted((f"{folder}/{entry.name}", entry.stat().st_size, label) for entry in images)
    if not files:
        raise missing(PUBLICATION, f"images of {folder}/", [place], None)
    return files


def _annotated(root: Path, classes: dict[str, int]) -> list[tuple[str, int, int]]:
    """The validation images as they are published: in one folder, with a list of their classes."""
    file = root / "val" / _ANNOTATIONS
    listed = {name: size for name, size, _ in _listed(root, f"val/{_IMAGES}", 0)}
    annotated: dict[str, tuple[str, int, int]] = {}
    with damage_reported(PUBLICATION, file, None):
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            fields = line.split("\t")
            if len(fields) != _FIELDS:
                raise ValueError(
                    f"line {number} has {len(fields)} fields, expected {_FIELDS} between tabs: the "
                    "name of the image, its class, and the sides of a box"
                )
            name = f"val/{_IMAGES}/{fields[0]}"
            if fields[1] not in classes:
                raise ValueError(f"line {number} has the class {fields[1]}, which {_CLASSES} lacks")
            if name in annotated:
                raise ValueError(f"line {number} names {fields[0]} a second time")
            if name not in listed:
                raise ValueError(f"line {number} names {fields[0]}, which val/{_IMAGES}/ lacks")
            annotated[name] = (name, listed[name], classes[fields[1]])
        if unnamed := listed.keys() - annotated.keys():
            raise ValueError(f"it has no line for {len(unnamed)} images, such as {min(unnamed)}")
    return list(annotated.values())


def _sorted_into_folders(root: Path, classes: dict[str, int]) -> list[tuple[str, int, int]]:
    """The validation images, if they were sorted into one folder per class."""
    files: list[tuple[str, int, int]] = []
    for name, label in classes.items():
        inner = f"val/{name}/{_IMAGES}"
        files += _listed(root, inner if is_dir(root / inner) else f"val/{name}", label)
    return files


def _files(root: Path, listed: list[tuple[str, int, int]]) -> tuple[ImageFiles, NDArray[np.int32]]:
    names, sizes, labels = zip(*listed, strict=True)
    images = ImageFiles(root, names, np.array(sizes, np.int64), TINY_IMAGENET.image_shape[0])
    return images, np.array(labels, np.int32)
