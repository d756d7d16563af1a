"""Evaluates the formulas of an objective in NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fgspec.formulas.arrays import Array
from fgspec.formulas.evaluation import Evaluation
from fgspec.formulas.losses import LOSS
from fgspec.formulas.tree import Bound, Domain, Index
from fgspec.spec.objectives import Objective


class _Quantities:
    """The quantities of an objective as a source of values; see `fgspec.formulas.evaluation`."""

    def __init__(self, given: Mapping[Any, tuple[Any, str]]) -> None:
        self.given = {
            key: Array(np.asarray(numbers, np.float64), tuple(axes))
            for key, (numbers, axes) in given.items()
        }

    def leaf(self, key: str, indices: tuple[Any, ...]) -> Array:
        """The quantity of a symbol."""
        return self.given[(key, *indices) if indices else key]

    def members(self, domain: Domain, index: Index, bound: Bound) -> Sequence[Any]:
        """The values that an index of the quantities takes."""
        return sorted({key[1] for key in self.given if isinstance(key, tuple)})

    def derived(self, index: str, place: Any) -> Bound:
        """No other index follows from an index."""
        return {}

    def at(self, index: Index, bound: Bound) -> Any:
        """The value of an index."""
        return bound[index.name] + index.shift

    def jacobian(self, of: Any, by: Any, through: str) -> None:
        """Formulas of losses contain no derivatives."""

    def moved(self, loss: Any, directions: Any, step: float) -> Array:
        """Formulas of losses contain no finite differences."""
        raise NotImplementedError


def evaluated(objective: Objective, outputs: Any, targets: Any) -> np.ndarray:
    """The loss of every row according to the formulas of an objective, [n], in float64.

    Args:
        objective: an objective that has formulas.
        outputs: the outputs, as `value` takes them.
        targets: the targets of every row.
    """
    values = _Quantities(objective.quantities(outputs, targets))
    return Evaluation(tuple(objective.formulas()), values).solve(LOSS).spread("n")
