"""Names of metrics: how earlier versions called them, and which one tells how good a model is."""

from collections.abc import Collection
from typing import NamedTuple

from fgspec.spec.data import Data
from fgspec.spec.losses import Losses

TEST, VALID = "test", "valid"
"""What stands before the name of a metric of the test set and of the validation set."""

_FORMER = "eval/"


def today(metric: str) -> str:
    """The name of a metric, which may be that of earlier versions: `eval/error` is `test/error`."""
    return f"{TEST}/{metric.removeprefix(_FORMER)}" if metric.startswith(_FORMER) else metric


def shown(metrics: Collection[str]) -> str:
    """Of the metrics that runs have, the error that they are selected by."""
    return f"{VALID}/error" if f"{VALID}/error" in metrics else f"{TEST}/error"


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


def selecting(data: Data) -> str:
    """The set that runs are evaluated on while they train: `valid` if there is one, else `test`."""
    return TEST if data.validation is None else VALID


def leading(data: Data, losses: Losses) -> Leading:
    """The metric that runs of a spec are selected by: its objective's headline."""
    answer = losses.objective.answer()
    return Leading(f"{selecting(data)}/{answer.headline}", answer.lower_is_better)
