"""The named axes of activations, weights and losses, and how derivatives travel between them."""

from collections.abc import Collection, Sequence
from typing import Literal

from jaxtyping import Array, Float

Axis = Literal["batch", "patch", "group", "channel"]

ACTIVATION: tuple[Axis, ...] = ("batch", "patch", "group", "channel")
"""The axes of every activation, in order: [n, p, g, c]."""


def sum_to(
    derivative: Float[Array, "..."], axes: Sequence[Axis], kept: Collection[Axis]
) -> Float[Array, "..."]:
    """Sum an array with the named `axes` over those not in `kept`."""
    return derivative.sum(tuple(i for i, axis in enumerate(axes) if axis not in kept))


def align(
    derivative: Float[Array, "..."], kept: Sequence[Axis], axes: Sequence[Axis | None]
) -> Float[Array, "..."]:
    """Insert axes of size 1 so that an array with axes `kept` broadcasts over one with `axes`.

    Both name their axes in the same order; `kept` is a subset of `axes`.
    """
    sizes = dict(zip(kept, derivative.shape, strict=True))
    return derivative.reshape(tuple(sizes.get(axis, 1) if axis else 1 for axis in axes))
