"""What one pass over a test set says of a model: losses, every class, what is confused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from compiler.update.program import Program
from fgspec.data.pipeline import evaluation_batches
from fgspec.errors import RunError
from fgspec.spec.objectives import Objective
from fgspec.trained.images import taken
from fgspec.trained.labelled import Labelled
from fgspec.training import loop
from fgspec.training.checkpoint import Restored
from fgspec.training.loop import Functions

TOP = 5
"""Classes among which the right one is looked for, where there are more of them."""


@dataclass(frozen=True)
class Evaluation:
    """One pass over a test set.

    Attributes:
        step: updates that the model was trained for.
        metrics: the mean loss and the means of what the objective reports, as a run logs them.
        classes: the names of the classes by label, or of the numbers of a label.
        confusion: [classes, classes], int64: how many images of each class (rows) were taken for
            each class (columns). None where the objective predicts no class.
        top: for each k, the share of images whose class is among the k with the largest outputs.
            Empty where outputs are not one a class, or there are at most `TOP` classes.
    """

    step: int
    metrics: Mapping[str, float]
    classes: tuple[str, ...]
    confusion: NDArray[np.int64] | None
    top: Mapping[int, float]

    @property
    def class_accuracy(self) -> NDArray[np.float64] | None:
        """The share of each class's images that were taken for it, [classes]; NaN without any."""
        if self.confusion is None:
            return None
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / self.confusion.sum(1)

    def json(self) -> dict[str, Any]:
        """All of it as plain values; null stands for the accuracy of a class without images."""
        found: dict[str, Any] = {"step": self.step, **self.metrics, "classes": list(self.classes)}
        found |= {f"top_{k}_accuracy": share for k, share in self.top.items()}
        accuracy = self.class_accuracy
        if self.confusion is None or accuracy is None:
            return found
        each = [None if math.isnan(value) else value for value in accuracy.tolist()]
        return found | {"class_accuracy": each, "confusion": self.confusion.tolist()}


def evaluated(
    program: Program,
    checkpoint: Restored,
    data: Labelled,
    batch_size: int,
    classes: Sequence[str],
    name: str,
) -> Evaluation:
    """One pass over images with labels.

    Args:
        program: of the model, on one device.
        checkpoint: of it.
        data: what it is evaluated on.
        batch_size: images a batch.
        classes: their names.
        name: of the run, for errors.

    Raises:
        RunError: a loss is not finite.
        DataError: an image is damaged.
    """
    found: list[Any] = []

    def summed(state: Any, batch: Mapping[str, Any]) -> Any:
        image, label = taken(batch["image"], slice(None)), batch["label"]
        sums, outputs = program.answered(state, {"image": image, "label": label})
        found.append(jax.device_get(outputs))
        return sums

    called = Functions(program.init, program.abstract, program.updates, summed, program.diagnose)
    batches = partial(evaluation_batches, data.images, data.labels, batch_size)
    metrics = loop.evaluate(called, checkpoint.state, batches)
    for metric, value in metrics.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name}: step {checkpoint.step}: {metric} is {value}: its numbers broke"
            )
    outputs, answer = np.concatenate(found), program.plan.answer
    confusion, top = None, dict[int, float]()
    classifies = answer.classifies and type(answer).predict is not Objective.predict
    if classifies and program.plan.data.label == "class" and outputs.shape[1] == len(classes):
        predicted = np.asarray(answer.predict(jnp.asarray(outputs)))
        labels = data.labels.astype(np.int32, copy=False)
        confusion = confused(labels, predicted, len(classes))
        if len(classes) > TOP:
            top[TOP] = among_largest(outputs, labels, TOP)
    return Evaluation(checkpoint.step, metrics, tuple(classes), confusion, top)


def confused(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """How many of each class (rows) were taken for each (columns), [classes, classes]."""
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def among_largest(outputs: NDArray[np.floating], labels: NDArray[np.integer], most: int) -> float:
    """The share of rows of outputs [n, k] whose label is among the `most` largest.

    Of equal outputs the first is the larger, as it is for the most likely class.
    """
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :most]
    return float((order == labels[:, None]).any(1).mean())
