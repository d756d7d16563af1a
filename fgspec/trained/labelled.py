"""The images and labels that a model is evaluated on: the run's own test set, or other data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgspec.data.dataset import AnyLabels, Images, checked_labels, checked_numbers
from fgspec.data.describe import describe
from fgspec.data.sources import read
from fgspec.data.validation import divided
from fgspec.errors import UserError
from fgspec.loading.spec_file import Loaded, load
from fgspec.spec.data import Data
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search
from fgspec.trained.images import checked
from fgspec.training.resuming import refuse_other_data
from fgspec.training.run_folder import RunDir

OTHER_DATA = "evaluate on the present data with --other-data (in Python: other_data=True)"
"""The remedy in the error for a run whose data have changed."""


@dataclass(frozen=True)
class Labelled:
    """Images [n, height, width, channels] and their labels, in the form of a data set."""

    images: Images
    labels: AnyLabels


def own_labelled(run: RunDir, spec: Loaded, saved: str | None, other_data: bool) -> Labelled:
    """Read the test set of a run.

    Args:
        run: the run.
        spec: its spec, which says where its data are.
        saved: the fingerprint of the data in its checkpoint.
        other_data: whether the data may differ from those that the run was trained with.

    Raises:
        ResumeError: the data differ, and may not.
        DataError: the data are missing or damaged.
    """
    data = spec.experiment.data
    dataset = divided(read(data.source, spec.search), data.validation)
    if not other_data:
        refuse_other_data(run, spec, dataset, saved, OTHER_DATA)
    return Labelled(dataset.test_images, dataset.test_labels)


def labelled(data: Any, info: DatasetInfo, names: Sequence[str]) -> Labelled:
    """Read other images and labels, which must fit the model.

    Args:
        data: a spec or its path, a data section, or a pair of images and labels.
        info: the description of the data that the model was trained with.
        names: the names of the model's classes; empty if they have none.

    Raises:
        SpecError, DataError: the data are wrong, missing or damaged.
        UserError: the images have another shape, or the classes differ.
    """
    if isinstance(data, Data):
        return _of_section(data, None, info, names)
    if isinstance(data, str | Path | Loaded):
        loaded = data if isinstance(data, Loaded) else load(data)
        return _of_section(loaded.experiment.data, loaded.search, info, names)
    try:
        images, labels = data
    except (TypeError, ValueError):
        raise UserError(
            "data: must be a spec, its path, a data section, or a pair (images, labels) (got "
            f"{type(data).__name__})"
        ) from None
    images, labels = checked(images, info), np.asarray(labels)
    expected = (len(images), *info.label_shape)
    integers = labels.dtype.kind in "iu"
    if labels.shape != expected or not (integers or (info.numbers and labels.dtype.kind in "fb")):
        wanted = (
            f"{len(images)} rows of {info.numbers} numbers, one row per image"
            if info.numbers
            else f"{len(images)} integers, one per image"
        )
        raise UserError(f"labels: must be {wanted} (got {labels.dtype} {list(labels.shape)})")
    if not len(labels):
        raise UserError("data: has no images; give at least one")
    try:
        return Labelled(
            images,
            checked_numbers(labels, info.label)
            if info.numbers
            else checked_labels(labels, info.classes),
        )
    except ValueError as error:
        raise UserError(f"labels: {error}") from None


def _labels_of(info: DatasetInfo) -> str:
    if info.label == "class":
        return f"{info.classes} classes"
    return f"{info.numbers} {'numbers' if info.label == 'vector' else 'labels of 0 and 1'}"


def _of_section(data: Data, search: Search, info: DatasetInfo, names: Sequence[str]) -> Labelled:
    other = describe(data.source, search)
    own, theirs = (
        f"{_labels_of(each)} of images {list(each.image_shape)}" for each in (info, other)
    )
    if own != theirs:
        raise UserError(
            f"data: has {theirs}, but the run's data have {own}; give data of the same kind"
        )
    dataset = read(data.source, search)
    pairs = zip(names, dataset.names, strict=False)
    if differ := next(((own, theirs) for own, theirs in pairs if own != theirs), None):
        raise UserError(
            f"data: has the class {differ[1]} where the run's data have {differ[0]}; give the "
            "class folders the same names as in the run's data"
        )
    return Labelled(dataset.test_images, dataset.test_labels)
