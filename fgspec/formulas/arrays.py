"""NumPy arrays whose axes have names and meet by them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Array:
    """An array.

    Attributes:
        numbers: of it.
        axes: the name of each axis, none twice.
    """

    numbers: np.ndarray
    axes: tuple[str, ...] = ()

    def spread(self, axes: Sequence[str]) -> np.ndarray:
        """The numbers with these axes, of length 1 where it has none of that name."""
        order = [self.axes.index(axis) for axis in axes if axis in self.axes]
        moved = self.numbers.transpose(order)
        return moved[tuple(slice(None) if axis in self.axes else None for axis in axes)]

    def _with(self, other: "Array") -> tuple[str, ...]:
        return (*self.axes, *(axis for axis in other.axes if axis not in self.axes))

    def __mul__(self, other: "Array") -> "Array":
        """The product; axes of one name are one."""
        axes = self._with(other)
        return Array(self.spread(axes) * other.spread(axes), axes)

    def __add__(self, other: "Array") -> "Array":
        """The sum."""
        axes = self._with(other)
        return Array(self.spread(axes) + other.spread(axes), axes)

    def total(self, axes: Sequence[str]) -> "Array":
        """Summed over axes."""
        gone = tuple(self.axes.index(axis) for axis in axes)
        kept = tuple(axis for axis in self.axes if axis not in axes)
        return Array(self.numbers.sum(gone), kept)

    def total_but(self, axes: Sequence[str]) -> "Array":
        """Summed over all other axes."""
        return self.total([axis for axis in self.axes if axis not in axes])

    def inverse(self) -> "Array":
        """One over each number; zero for zero."""
        safe = np.where(self.numbers == 0, 1, self.numbers)
        return Array(np.where(self.numbers == 0, 0, 1 / safe), self.axes)

    def renamed(self, names: dict[str, str]) -> "Array":
        """With other names of axes."""
        return Array(self.numbers, tuple(names.get(axis, axis) for axis in self.axes))

    def function(self, name: str, axes: Sequence[str]) -> "Array":
        """See `fgspec.formulas.tree.Function`."""
        if name == "sign":
            return Array(np.sign(self.numbers), self.axes)
        if name == "mirrored":
            first = self.spread((*axes, *(axis for axis in self.axes if axis not in axes)))
            half = first[: len(first) // 2]
            names = (*axes, *(axis for axis in self.axes if axis not in axes))
            return Array(np.concatenate([half, -half]), names)
        others = tuple(axis for axis in self.axes if axis not in axes)
        matrices = self.spread((*others, *axes))
        found = {
            "inverse": np.linalg.inv,
            "inverse root": lambda m: np.linalg.inv(np.linalg.cholesky(m)),
            "pseudo inverse": lambda m: np.linalg.pinv(m, rcond=1e-6, hermitian=True),
        }[name](matrices)
        return Array(found, (*others, *axes))
