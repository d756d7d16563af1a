"""The table of what a model predicts for pictures and archives."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgspec.errors import UserError
from fgspec.trained.model import Model
from fgspec.trained.pictures import given

COLUMNS: Sequence[str] = ("file", "index", "class", "probability")


def predictions(model: Model, paths: Sequence[Path]) -> list[dict[str, str]]:
    """A row an image, by `COLUMNS`, in the order of the paths.

    `index` is the image's place in an archive, empty for pictures; `probability` is that of the
    class, empty where the objective has none.

    Args:
        model: what predicts.
        paths: pictures, folders of them, archives with an array `images` or `test_images`.

    Raises:
        UserError, DataError: a path or an image cannot be used.
    """
    rows: list[dict[str, str]] = []
    source = model.spec.experiment.data.source
    for part in given(paths, source, model.data.image_shape):
        try:
            outputs = model.outputs(part.images)
        except UserError as error:
            archive = part.names[0][1] is not None
            raise UserError(f"{part.names[0][0]}: {error}") if archive else error from None
        labels = model.classes_of(outputs)
        shares = _shares(model, outputs, labels)
        for (file, place), label, share in zip(part.names, labels, shares, strict=True):
            cells = (str(file), "" if place is None else str(place), model.classes[label], share)
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def _shares(model: Model, outputs: NDArray[np.float32], labels: NDArray[np.int32]) -> list[str]:
    """The probability of each row's class as text."""
    shares = model.probabilities_of(outputs)
    if shares is None:
        return [""] * len(labels)
    return [f"{share:.6f}" for share in np.take_along_axis(shares, labels[:, None], axis=1)[:, 0]]


def as_csv(rows: Sequence[dict[str, str]]) -> bytes:
    """The table as a CSV file; names of files that are no text keep their bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="surrogateescape")
