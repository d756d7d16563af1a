"""The horizontal axes of curves: updates, epochs, FLOPs or seconds."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from fgspec.results.collect import RunResult


class Cost(NamedTuple):
    """The cost of an arm's runs according to its plan.

    Attributes:
        flops: the FLOPs of an update.
        steps: how many updates a run has.
        steps_per_epoch: how many updates a pass over the training set has.
    """

    flops: int
    steps: int
    steps_per_epoch: int


Costs = Mapping[str, Cost]
"""The cost by an arm's label; arms whose data are not on this machine are missing."""


class Abscissa(NamedTuple):
    """A horizontal axis.

    Attributes:
        title: the title of the axis.
        places: returns where the steps of a run are on the axis, [steps]; None if unknown.
        prefixes: whether numbers are so large that they need prefixes, such as 1.5 G.
    """

    title: str
    places: Callable[[np.ndarray, RunResult, Cost | None], np.ndarray | None]
    prefixes: bool = False

    @property
    def of_whole_runs(self) -> "Abscissa":
        """The axis for the cost of whole runs: this one, or FLOPs if it does not measure cost."""
        return self if self in (ABSCISSAE["flops"], ABSCISSAE["seconds"]) else ABSCISSAE["flops"]


def _seconds(steps: np.ndarray, run: RunResult, cost: Cost | None) -> np.ndarray | None:
    """Seconds of training at the steps. Logged times are means since the previous logged time."""
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
"""The axes by the name that `--x` takes."""
