"""NumPy arrays whose axes have names and meet by them."""

from collections.abc import Callable, Mapping, Sequence
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

    def mean(self, axes: Sequence[str]) -> "Array":
        """Averaged over axes."""
        gone = tuple(self.axes.index(axis) for axis in axes)
        kept = tuple(axis for axis in self.axes if axis not in axes)
        return Array(self.numbers.mean(gone), kept)

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
        """See `fgspec.formulas.tree.Function`; a matrix is in the last two axes."""
        others = tuple(axis for axis in self.axes if axis not in axes)
        return Array(FUNCTIONS[name](self.spread((*others, *axes))), (*others, *axes))


def _mirrored(draws: np.ndarray) -> np.ndarray:
    half = draws[..., : draws.shape[-1] // 2]
    return np.concatenate([half, -half], -1)


FUNCTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sign": np.sign,
    "root": np.sqrt,
    "square": np.square,
    "exp": np.exp,
    "log": np.log,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "positive part": lambda x: np.maximum(0, x),
    "mirrored": _mirrored,
    "inverse": np.linalg.inv,
    "inverse root": lambda matrix: np.linalg.inv(np.linalg.cholesky(matrix)),
    "pseudo inverse": lambda matrix: np.linalg.pinv(matrix, rcond=1e-6, hermitian=True),
}
"""Functions by name."""
