"""Whether a run still computes numbers that mean something: what is looked at, and when it ends."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fgspec.errors import RunError

DIVERGED = 1000
"""A loss so many times what it was has diverged."""


class Broken(RunError):
    """A number is no longer finite, or a loss diverged.

    Attributes:
        step: the first at which it was seen.
        diverged: whether all numbers are finite, but a loss is far too large.
    """

    def __init__(self, step: int, what: str, diverged: bool = False) -> None:
        super().__init__(f"step {step}: {what}; a smaller optimizer.learning_rate often helps")
        self.step = step
        self.diverged = diverged


class Health:
    """Looks at losses, gradient norms and the state of a run.

    Args:
        scales: what each loss is for a model that knows nothing, by the metric's name.
        first: the first value of each loss that was logged.
    """

    def __init__(self, scales: Mapping[str, float], first: Mapping[str, float]) -> None:
        self._scales = dict(scales)
        self.first = dict(first)

    def refuse_steps(
        self,
        step: int,
        values: Mapping[str, Sequence[float]],
        not_finite: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Raise if a metric of the steps up to `step` is not finite.

        Args:
            step: of the last values.
            values: every metric of some steps, in order.
            not_finite: gives the names of the arrays of the state after `step` that are not finite,
                in the order of the network.

        Raises:
            Broken: naming the first such step, and its metrics in the order of the network.
        """
        bad = {
            name: [index for index, value in enumerate(each) if not math.isfinite(value)]
            for name, each in values.items()
        }
        found = [places[0] for places in bad.values() if places]
        if found:
            first = min(found)
            names = [name for name in values if first in bad[name]]
            length = len(values[names[0]])
            told = ", ".join(f"{name} is {values[name][first]}" for name in ordered(names))
            arrays = _told(not_finite())
            after = f"; after step {step}, {arrays}" if arrays else ""
            raise Broken(step - length + 1 + first, told + after)

    def refuse_line(self, step: int, record: Mapping[str, float]) -> None:
        """Raise if a loss of a line of the log is not finite, or diverged.

        Raises:
            Broken: naming it.
        """
        for name, scale in self._scales.items():
            if name in record:
                self.first.setdefault(name, record[name])
                if not math.isfinite(record[name]):
                    raise Broken(step, f"{name} is {record[name]}")
                self._refuse_divergence(step, name, record[name], scale)

    def refuse_losses(self, step: int, means: Mapping[str, float]) -> None:
        """Raise if a loss that is not logged yet diverged.

        Raises:
            Broken: naming it.
        """
        for name, scale in self._scales.items():
            if name in means:
                self._refuse_divergence(step, name, means[name], scale)

    def refuse_state(self, step: int, not_finite: Sequence[str]) -> None:
        """Raise if arrays of the state are not finite.

        Args:
            step: updates done.
            not_finite: their names, in the order of the network.

        Raises:
            Broken: naming the first.
        """
        if not_finite:
            raise Broken(step, _told(not_finite))

    def _refuse_divergence(self, step: int, name: str, value: float, scale: float) -> None:
        """Raise if a loss is a thousand times its first value, or what knowing nothing has.

        A loss below what a model has that knows nothing did not diverge, however small it was when
        it was logged first.
        """
        first = self.first.get(name, scale)
        limit = min(DIVERGED * scale, max(DIVERGED * first, scale))
        if value > limit:
            raise Broken(
                step,
                f"diverged: {name} is {value:.4g}; it was {first:.4g} when first logged, "
                f"and is {scale:.4g} for a model that knows nothing",
                diverged=True,
            )


def _told(not_finite: Sequence[str]) -> str:
    if not not_finite:
        return ""
    more = f" and {len(not_finite) - 1} more arrays are" if not_finite[1:] else " is"
    return f"{not_finite[0]}{more} not finite"


def ordered(names: Sequence[str]) -> list[str]:
    """Metrics as a step computes them: losses of blocks, then of the output, then gradients."""
    places = ("local_loss/", "train/", "optim/")

    def place(name: str) -> list[Any]:
        section = [not name.startswith(place) for place in places]
        return [
            section,
            [int(part) if part.isdigit() else 0 for part in re.split("([0-9]+)", name)],
        ]

    return sorted(names, key=place)
