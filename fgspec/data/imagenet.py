"""ImageNet, unpacked into one folder per class."""

import os
import re
from pathlib import Path
from typing import Self

from fgspec.data.dataset import Dataset
from fgspec.data.image_folder import listed_images, write_example
from fgspec.data.moments import measured
from fgspec.data.places import candidates, is_dir, usual_folders
from fgspec.data.published import Publication, check_counts, missing, other_set
from fgspec.errors import DataError
from fgspec.spec import sources
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import IMAGENET, Search

PUBLICATION = Publication("ImageNet", ("https://image-net.org/download.php",), "imagenet")
_TRAIN, _TEST = "train", "val"
_WORDNET = re.compile(r"n[0-9]{8}")


class ImageNet(sources.ImageNet):
    """The fields of this source, and how its folders are listed."""

    def read(self, search: Search = None) -> Dataset:
        """Images [N, 224, 224, 3] uint8, decoded when a batch needs them.

        Raises:
            DataError: a folder is missing, or classes or counts are not the published ones.
            UserError: Pillow is not installed.
        """
        places = usual_folders("imagenet") if self.path is None else candidates(self.path, search)
        root = next((place for place in places if is_dir(place / _TRAIN)), None)
        if root is None:
            raise missing(PUBLICATION, f"the folder {_TRAIN}/ (one folder per class)", places, None)
        try:
            dataset = listed_images(root, _TRAIN, _TEST, IMAGENET.image_shape[0])
        except DataError as error:
            if other := other_set(PUBLICATION.source, [root]):
                raise DataError(
                    f"data.source: {root} does not have the folders of ImageNet; {other}"
                    f"{PUBLICATION.remedy}"
                ) from error
            raise
        classes = int(dataset.train_labels[-1]) + 1
        if classes != IMAGENET.classes and (self.verify or classes > IMAGENET.classes):
            raise DataError(
                f"data.source: {root / _TRAIN} holds {classes} classes, expected "
                f"{IMAGENET.classes}; {other_set(PUBLICATION.source, [root])}use the source "
                "image_folder for other images, or data.source.verify: false for a part of these"
            )
        if self.verify:
            check_counts(PUBLICATION, root, dataset, IMAGENET)
        return dataset

    def measured(self, search: Search = None) -> DatasetInfo:
        """Describe what was listed; mean and deviation are measured on up to 1,024 images."""
        return measured(IMAGENET.name, self.read(search))

    @classmethod
    def recognizes(cls, place: Path) -> bool:
        """Recognize ImageNet by a thousand class folders with the IDs of WordNet."""
        folders = place / _TRAIN
        if not is_dir(folders):
            return False
        names = [name for name in os.listdir(folders) if _WORDNET.fullmatch(name)]
        return len(names) == IMAGENET.classes

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Write two classes, each with two training images and one test image, as PNG."""
        write_example(folder, {_TRAIN: 2, _TEST: 1}, 2)
        return cls(path=str(folder), verify=False)
