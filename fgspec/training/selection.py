"""The best evaluation of a run so far, by which a checkpoint is kept or the run ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Mark = Mapping[str, Any]
"""An evaluation: its `step`, the name of its `metric`, and the `value`; plain, as JSON has it."""


@dataclass(frozen=True)
class Watch:
    """What of evaluations is compared.

    Attributes:
        metric: its name.
        lower_is_better: whether less of it is better.
        min_change: by how much more than this it must be better to count.
    """

    metric: str
    lower_is_better: bool
    min_change: float = 0.0

    def after(self, best: Mark | None, step: int, metrics: Mapping[str, float]) -> Mark | None:
        """The best evaluation after one at `step`; `best` if the metrics do not have this one."""
        if best is not None and best["metric"] != self.metric:
            best = None
        if self.metric not in metrics:
            return best
        value = metrics[self.metric]
        gain = 0.0 if best is None else best["value"] - value
        if best is not None and (gain if self.lower_is_better else -gain) <= self.min_change:
            return best
        return {"step": step, "metric": self.metric, "value": value}
