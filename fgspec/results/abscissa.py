"""What curves are drawn over: updates, epochs, FLOPs or seconds."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fgspec.results.collect import RunResult


class Cost(NamedTuple):
    """What the runs of an arm cost by its plan.

    Attributes:
        flops: of an update.
        steps: updates of a run.
        steps_per_epoch: updates of a pass over the training set.
    """

    flops: int
    steps: int
    steps_per_epoch: int


Costs = Mapping[str, Cost]
"""By an arm's label; none where the data of an arm are not here."""


class Abscissa(NamedTuple):
    """One choice.

    Attributes:
        title: of the axis.
        places: of steps of a run, [steps]; None where they are not known.
        prefixes: whether numbers along it are so large that they have prefixes, such as 1.5 G.
    """

    title: str
    places: Callable[[np.ndarray, RunResult, Cost | None], np.ndarray | None]
    prefixes: bool = False

    @property
    def of_whole_runs(self) -> "Abscissa":
        """What the cost of whole runs is measured in: itself, or FLOPs where it is no cost."""
        return self if self in (ABSCISSAE["flops"], ABSCISSAE["seconds"]) else ABSCISSAE["flops"]


def _seconds(steps: np.ndarray, run: RunResult, cost: Cost | None) -> np.ndarray | None:
    """Time is logged as a mean over the updates since the last line that has it."""
    timed = [line for line in run.lines if "perf/step_time_s" in line]
    if not timed:
        return None
    ends = np.asarray([0, *(line["step"] for line in timed)], np.float64)
    spent = np.diff(ends) * [line["perf/step_time_s"] for line in timed]
    return np.interp(steps, ends, np.cumsum([0.0, *spent]))


ABSCISSAE = {
    "updates": Abscissa("updates", lambda steps, run, cost: steps),
    "epochs": Abscissa(
        "epochs", lambda steps, run, cost: None if cost is None else steps / cost.steps_per_epoch
    ),
    "flops": Abscissa(
        "FLOPs",
        lambda steps, run, cost: None if cost is None else steps * cost.flops,
        prefixes=True,
    ),
    "seconds": Abscissa("seconds of training", _seconds),
}
"""By the name that `--x` takes."""
