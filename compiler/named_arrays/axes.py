"""The named axes of activations, weights and losses, and sums and broadcasts between them."""

from collections.abc import Collection, Sequence

import jax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float

from fgspec.spec.shapes import ACTIVATION, Axis

__all__ = ["ACTIVATION", "Axis", "align", "gathered", "sum_to"]


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


def gathered(x: Float[Array, "n p g c"], mixed: Collection[Axis]) -> Float[Array, "n p g c"]:
    """An activation with all channel groups on every device, if the next operation mixes groups.

    Gathering it here, once, is cheaper than letting every operation that reads it gather it.
    """
    if "group" not in mixed or jax.sharding.get_abstract_mesh().empty:
        return x
    open_axes = [None if axis == "group" else PartitionSpec.UNCONSTRAINED for axis in ACTIVATION]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*open_axes))
