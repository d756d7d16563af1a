"""Evaluates a model in one pass over a test set: losses, class accuracies, confusion matrix."""

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
"""The k of the top-k accuracy, which is reported if there are more than k classes."""


@dataclass(frozen=True)
class Evaluation:
    """The result of one pass over a test set.

    Attributes:
        step: how many updates the model was trained for.
        metrics: the mean loss and the mean metrics of the objective, named as in a run's log.
        classes: the names of the classes by label, or of the numbers of a label.
        confusion: [classes, classes], int64: how many images of each class (rows) were predicted as
            each class (columns). None if the objective does not predict classes.
        top: for each k, the fraction of images whose class has one of the k largest outputs. Empty
            if there is not one output per class, or if there are at most `TOP` classes.
    """

    step: int
    metrics: Mapping[str, float]
    classes: tuple[str, ...]
    confusion: NDArray[np.int64] | None
    top: Mapping[int, float]

    @property
    def class_accuracy(self) -> NDArray[np.float64] | None:
        """The fraction of correct predictions for each class, [classes]; NaN without images."""
        if self.confusion is None:
            return None
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / self.confusion.sum(1)

    def json(self) -> dict[str, Any]:
        """The result as plain values; the accuracy of a class without images is None."""
        values: dict[str, Any] = {"step": self.step, **self.metrics, "classes": list(self.classes)}
        values |= {f"top_{k}_accuracy": share for k, share in self.top.items()}
        accuracy = self.class_accuracy
        if self.confusion is None or accuracy is None:
            return values
        each = [None if math.isnan(value) else value for value in accuracy.tolist()]
        return values | {"class_accuracy": each, "confusion": self.confusion.tolist()}


def evaluated(
    program: Program,
    checkpoint: Restored,
    data: Labelled,
    batch_size: int,
    classes: Sequence[str],
    name: str,
) -> Evaluation:
    """Evaluate a model in one pass over images with labels.

    Args:
        program: the model's program, on one device.
        checkpoint: the checkpoint to evaluate.
        data: the images and labels.
        batch_size: how many images a batch has.
        classes: the names of the classes.
        name: the name of the run, for errors.

    Raises:
        RunError: a loss is not finite.
        DataError: an image is damaged.
    """
    batches_of_outputs: list[Any] = []

    def summed(state: Any, batch: Mapping[str, Any]) -> Any:
        image, label = taken(batch["image"], slice(None)), batch["label"]
        sums, outputs = program.answered(state, {"image": image, "label": label})
        batches_of_outputs.append(jax.device_get(outputs))
        return sums

    called = Functions(program.init, program.abstract, program.updates, summed, program.diagnose)
    batches = partial(evaluation_batches, data.images, data.labels, batch_size)
    metrics = loop.evaluate(called, checkpoint.state, batches)
    for metric, value in metrics.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name}: step {checkpoint.step}: {metric} is {value}; its parameters are not "
                "usable; evaluate another checkpoint with --step"
            )
    outputs, answer = np.concatenate(batches_of_outputs), program.plan.answer
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
    """How many images of each class (rows) were predicted as each (columns), [classes, classes]."""
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def among_largest(outputs: NDArray[np.floating], labels: NDArray[np.integer], most: int) -> float:
    """The fraction of rows of outputs [n, k] whose label has one of the `most` largest outputs.

    Among equal outputs, the first one counts as the largest, as in argmax.
    """
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :most]
    return float((order == labels[:, None]).any(1).mean())
