"""Makes the table of a model's predictions for pictures and archives."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgspec.errors import UserError
from fgspec.trained.model import Model
from fgspec.trained.pictures import given

_PLACE: Sequence[str] = ("file", "index")


def columns(model: Model) -> Sequence[str]:
    """The columns of the table.

    `index` is the image's index in an archive, and is empty for pictures. A model that classifies
    has `class` and `probability`, which is empty if the objective gives none. Other models have a
    column for every number that they predict, with its name in the data, or its index.
    """
    if model.classifies:
        return (*_PLACE, "class", "probability")
    width = model.program.plan.answer.outputs(model.data)
    return (*_PLACE, *(model.classes if len(model.classes) == width else map(str, range(width))))


def predictions(model: Model, paths: Sequence[Path]) -> list[dict[str, str]]:
    """A row for every image with the `columns`, in the order of the paths.

    Args:
        model: the model.
        paths: pictures, folders of pictures, or archives with an array `images` or `test_images`.

    Raises:
        UserError, DataError: a path or an image cannot be used.
    """
    rows: list[dict[str, str]] = []
    source, names = model.spec.experiment.data.source, columns(model)
    for part in given(paths, source, model.data.image_shape):
        try:
            outputs = model.outputs(part.images)
        except UserError as error:
            archive = part.names[0][1] is not None
            raise UserError(f"{part.names[0][0]}: {error}") if archive else error from None
        for (file, place), answer in zip(part.names, _answers(model, outputs), strict=True):
            cells = (str(file), "" if place is None else str(place), *answer)
            rows.append(dict(zip(names, cells, strict=True)))
    return rows


def _answers(model: Model, outputs: NDArray[np.float32]) -> list[list[str]]:
    """The predictions for each row of outputs [n, k], as text."""
    answers = model.answers_of(outputs)
    if not model.classifies:
        return [[f"{number:g}" for number in row] for row in answers.tolist()]
    labels = answers.astype(np.int32)
    shares = _shares(model, outputs, labels)
    return [[model.classes[label], share] for label, share in zip(labels, shares, strict=True)]


def _shares(model: Model, outputs: NDArray[np.float32], labels: NDArray[np.int32]) -> list[str]:
    """The probability of each row's predicted class, as text."""
    shares = model.probabilities_of(outputs)
    if shares is None:
        return [""] * len(labels)
    return [f"{share:.6f}" for share in np.take_along_axis(shares, labels[:, None], axis=1)[:, 0]]


def as_csv(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> bytes:
    """The table as a CSV file; file names that are not valid text keep their bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="surrogateescape")
