"""Names of metrics: how earlier versions called them, and which one tells how good a model is."""

from collections.abc import Collection
from typing import NamedTuple

from fgspec.spec.data import Data
from fgspec.spec.losses import Losses
from fgspec.spec.objectives import Objective

TEST, VALID = "test", "valid"
"""What stands before the name of a metric of the test set and of the validation set."""

_FORMER = "eval/"


def today(metric: str) -> str:
    """The name of a metric, which may be that of earlier versions: `eval/error` is `test/error`."""
    return f"{TEST}/{metric.removeprefix(_FORMER)}" if metric.startswith(_FORMER) else metric


def is_error(metric: str) -> bool:
    """Whether a metric is an error, such as `test/error` or `valid/squared_error`: less is better.

    The last word of its name says so. What fgspec's own objectives are judged by are errors.
    """
    return metric.split("/")[-1].split("_")[-1] == "error"


def shown(metrics: Collection[str]) -> str:
    """Of the metrics that runs have, the error that they are selected by."""
    errors = (
        name
        for of in (VALID, TEST)
        for name in sorted(metrics)
        if name.startswith(f"{of}/") and is_error(name)
    )
    return next(errors, f"{TEST}/error")


class Leading(NamedTuple):
    """The metric that runs are selected by.

    Attributes:
        name: such as valid/error.
        lower_is_better: whether less of it is better.
    """

    name: str
    lower_is_better: bool

    @property
    def of_test_set(self) -> bool:
        """Whether selecting by it is selecting on the test set."""
        return self.name.startswith(f"{TEST}/")


def answer_of(data: Data, losses: Losses) -> Objective:
    """The objective that the classifier of a spec is trained and evaluated by, on its labels."""
    return losses.answering.for_labels(data.source.label_kind())


def selecting(data: Data) -> str:
    """The set that runs are evaluated on while they train: `valid` if there is one, else `test`."""
    return TEST if data.validation is None else VALID


def leading(data: Data, losses: Losses) -> Leading:
    """The metric that runs of a spec are selected by: its objective's headline."""
    answer = answer_of(data, losses)
    return Leading(f"{selecting(data)}/{answer.headline}", answer.lower_is_better)
