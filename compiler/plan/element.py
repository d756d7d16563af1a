"""Perturbed arrays, and which copies of a loss the estimates for their elements use."""

from typing import NamedTuple

from compiler.named_arrays.axes import Axis


class Element(NamedTuple):
    """One perturbed array.

    Attributes:
        shape: its shape.
        axes: the names of its axes; None for an axis without a name.
        route: the axes along which an element uses only the loss copies at its own index. Along
            all other axes the derivatives of the copies are summed. See `compiler.plan.credit`.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    route: tuple[Axis, ...]
