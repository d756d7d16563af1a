"""Accuracies of classes and the confusion matrix: as text, as CSV, as a picture."""

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
"""Classes whose confusion matrix is text that can be read."""


def lines(evaluation: Evaluation) -> Iterator[str]:
    """The accuracy of every class and the confusion matrix, for people.

    Of more than `_MOST` classes these are the least accurate, and there is no matrix.
    """
    for k, share in evaluation.top.items():
        yield f"top-{k} accuracy {share:.4f}"
    matrix, accuracy = evaluation.confusion, evaluation.class_accuracy
    if matrix is None or accuracy is None:
        return
    names, order = evaluation.classes, np.arange(len(matrix))
    if len(names) > _MOST:
        yield f"the {_MOST} least accurate of {len(names)} classes; --confusion writes all:"
        order = np.argsort(accuracy, kind="stable")[:_MOST]  # NaN, of no images, comes last
    rows = [("class", "images", "accuracy", "most often taken for")]
    for label in order:
        own = matrix[label]
        shown = "-" if math.isnan(accuracy[label]) else f"{accuracy[label]:.4f}"
        others = np.where(np.arange(len(own)) == label, 0, own)
        worst = int(others.argmax())
        said = f"{names[worst]} ({others[worst]})" if others[worst] else "-"
        rows.append((names[label], str(own.sum()), shown, said))
    yield from columns(rows)
    if len(names) <= _MOST:
        yield "confusion matrix (rows: the class; columns: what it was taken for)"
        head = ("", *names)
        body = ((name, *map(str, own)) for name, own in zip(names, matrix, strict=True))
        yield from columns([head, *body])


def endings() -> str:
    """The endings of files that a confusion matrix can be written to, for messages."""
    return ", ".join(_WRITERS)


def check_writable(path: Path) -> None:
    """Raise unless a confusion matrix can be written to a file of this name.

    Raises:
        UserError: its ending is another, or a picture needs a package that is not installed.
    """
    if path.suffix not in _WRITERS:
        raise UserError(f"{path}: must end in {endings()}, for a table or a picture")
    if _WRITERS[path.suffix] is _drawn:
        plotting("eval: --confusion")


def write(evaluation: Evaluation, path: Path) -> None:
    """Write the confusion matrix to a file, as its ending says.

    Raises:
        UserError: as `check_writable`; or the objective predicts no class.
    """
    check_writable(path)
    if evaluation.confusion is None:
        raise UserError(f"{path}: the run's objective predicts no class, so nothing is confused")
    write_bytes(path, _WRITERS[path.suffix](evaluation, path.suffix))


def _table(evaluation: Evaluation, ending: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["class", *evaluation.classes])
    matrix: Any = evaluation.confusion
    for name, own in zip(evaluation.classes, matrix.tolist(), strict=True):
        rows.writerow([name, *own])
    return text.getvalue().encode()


def _drawn(evaluation: Evaluation, ending: str) -> bytes:
    """Shares of each class's images, with their numbers where these can be read."""
    matrix: Any = evaluation.confusion
    names = evaluation.classes
    side = max(3.2, 1.4 + 0.42 * min(len(names), 30))
    figure = plotting("eval: --confusion").Figure(
        figsize=(side + 0.6, side), layout="constrained", dpi=150
    )
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, label="share of the class's images")
    axis.set(xlabel="taken for", ylabel="class")
    if len(names) <= _MOST:
        places = range(len(names))
        axis.set_xticks(places, names, rotation=90 if max(map(len, names)) > 3 else 0)
        axis.set_yticks(places, names)
        for row, own in enumerate(matrix):
            for column, count in enumerate(own):
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
