"""The accuracy of each class and the confusion matrix, as text, CSV or a picture."""

import csv
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fgspec.bench.plot import plotting
from fgspec.errors import UserError
from fgspec.show.text import columns
from fgspec.trained.evaluation import Evaluation
from fgspec.training.logbook import write_bytes

_MOST = 20
"""The largest number of classes for which the confusion matrix is readable as text."""


def lines(evaluation: Evaluation) -> Iterator[str]:
    """The accuracy of every class and the confusion matrix, as lines of text.

    If there are more than `_MOST` classes, only the least accurate ones are listed, without matrix.
    """
    for k, share in evaluation.top.items():
        yield f"top-{k} accuracy {share:.4f}"
    matrix, accuracy = evaluation.confusion, evaluation.class_accuracy
    if matrix is None or accuracy is None:
        return
    names, order = evaluation.classes, np.arange(len(matrix))
    if len(names) > _MOST:
        yield f"the {_MOST} least accurate of {len(names)} classes; --confusion FILE writes all:"
        order = np.argsort(accuracy, kind="stable")[:_MOST]  # NaN, for no images, comes last
    rows = [("class", "images", "accuracy", "most often predicted as")]
    for label in order:
        counts = matrix[label]
        shown = "-" if math.isnan(accuracy[label]) else f"{accuracy[label]:.4f}"
        others = np.where(np.arange(len(counts)) == label, 0, counts)
        worst = int(others.argmax())
        mistake = f"{names[worst]} ({others[worst]})" if others[worst] else "-"
        rows.append((names[label], str(counts.sum()), shown, mistake))
    yield from columns(rows)
    if len(names) <= _MOST:
        yield "confusion matrix (rows: true class, columns: predicted class)"
        head = ("", *names)
        body = ((name, *map(str, counts)) for name, counts in zip(names, matrix, strict=True))
        yield from columns([head, *body])


def endings() -> str:
    """The file name endings that a confusion matrix can be written to, for messages."""
    return ", ".join(_WRITERS)


def check_writable(path: Path) -> None:
    """Raise if a confusion matrix cannot be written to a file of this name.

    Raises:
        UserError: the ending is unknown, or a picture needs a package that is not installed.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"{path}: must end in one of {endings()}")
    if _WRITERS[path.suffix] is _drawn:
        plotting("eval: --confusion")


def write(evaluation: Evaluation, path: Path) -> None:
    """Write the confusion matrix to a file, in the format of its ending.

    Raises:
        UserError: as `check_writable`; or the objective does not predict classes.
    """
    check_writable(path)
    if evaluation.confusion is None:
        raise UserError(
            f"{path}: the run's objective does not predict classes, so there is no confusion "
            "matrix; leave out --confusion"
        )
    write_bytes(path, _WRITERS[path.suffix](evaluation, path.suffix))


def _table(evaluation: Evaluation, ending: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["class", *evaluation.classes])
    matrix: Any = evaluation.confusion
    for name, counts in zip(evaluation.classes, matrix.tolist(), strict=True):
        rows.writerow([name, *counts])
    return text.getvalue().encode()


def _drawn(evaluation: Evaluation, ending: str) -> bytes:
    """A picture of the fractions of each class's images, with their counts if they are readable."""
    matrix: Any = evaluation.confusion
    names = evaluation.classes
    side = max(3.2, 1.4 + 0.42 * min(len(names), 30))
    figure = plotting("eval: --confusion").Figure(
        figsize=(side + 0.6, side), layout="constrained", dpi=150
    )
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="fraction of the class's images")
    axis.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= _MOST:
        places = range(len(names))
        axis.set_xticks(places, names, rotation=90 if max(map(len, names)) > 3 else 0)
        axis.set_yticks(places, names)
        for row, counts in enumerate(matrix):
            for column, count in enumerate(counts):
                if count:
                    colour = "white" if shares[row, column] > 0.5 else "black"
                    axis.text(column, row, str(count), color=colour, ha="center", va="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending.removeprefix("."))
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Evaluation, str], bytes]] = {
    ".csv": _table,
    ".png": _drawn,
    ".svg": _drawn,
}
