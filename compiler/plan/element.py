"""Perturbed arrays, and the copies of a loss that each of their elements answers for."""

from typing import NamedTuple

from compiler.named_arrays.axes import Axis


class Element(NamedTuple):
    """One perturbed array.

    Attributes:
        shape: of it.
        axes: its named axes, None where an axis has no name.
        route: the axes along which an element answers for its own copies of the loss; along others
            the copies' derivatives are summed.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    route: tuple[Axis, ...]
