"""ImageNet from the folders of classes it is unpacked to."""

from collections.abc import Sequence
from pathlib import Path

from fgspec.data.dataset import Dataset
from fgspec.data.describe import IMAGENET
from fgspec.data.image_folder import listed_images
from fgspec.data.places import candidates, usual_folders
from fgspec.data.published import Publication, check_counts, missing
from fgspec.errors import DataError
from fgspec.spec.data import ImageNet

PUBLICATION = Publication("ImageNet", ("https://image-net.org/download.php",))
_TRAIN, _TEST = "train", "val"


def read_imagenet(source: ImageNet, search: Sequence[Path] | None = None) -> Dataset:
    """Lists the images, [N, 224, 224, 3] uint8; they are decoded when they are asked for.

    Args:
        source: names the folder and whether classes and counts must be the published ones.
        search: folders in which a relative path is looked for; None means the current directory,
            then $FGSPEC_DATA.

    Raises:
        DataError: a folder is missing, or classes or counts are not the published ones.
        UserError: Pillow is not installed.
    """
    places = usual_folders("imagenet") if source.path is None else candidates(source.path, search)
    root = next((place for place in places if (place / _TRAIN).is_dir()), None)
    if root is None:
        raise missing(PUBLICATION, f"the folder {_TRAIN}/ (one folder a class)", places, None)
    dataset = listed_images(root, _TRAIN, _TEST, IMAGENET.image_shape[0])
    classes = int(dataset.train_labels[-1]) + 1
    if classes != IMAGENET.classes and (source.verify or classes > IMAGENET.classes):
        raise DataError(
            f"data.source: {root / _TRAIN} holds {classes} classes, expected {IMAGENET.classes}; "
            "read other images as image_folder, or a part of these with data.source.verify: false"
        )
    if source.verify:
        check_counts(PUBLICATION, root, dataset, IMAGENET)
    return dataset
