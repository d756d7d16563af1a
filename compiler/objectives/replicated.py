"""Losses replicated over patches and channel groups (Ren et al. 2022, equations 4 and 5).

All copies of a loss have the same value, that of the loss of the averaged and concatenated
features. But copy (n, p, g) has a derivative only with respect to the features [n, p, g, :]; there
are stop-gradients on all others. So one evaluation of the loss serves all copies.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from compiler.named_arrays.axes import ACTIVATION, Axis, sum_to

Value = Callable[[Any, Float[Array, "n f"]], Float[Array, " n"]]
"""(readout parameters, averaged features) -> the loss of each example."""

Replicated = Callable[[Any, Float[Array, "n p g c"]], Float[Array, "..."]]
"""(readout parameters, features) -> copies; their axes are the batch and the replicated axes."""


def _average(x: Float[Array, "n p g c"]) -> Float[Array, "n f"]:
    return x.mean(1).reshape(x.shape[0], -1)


def _merged(x: Float[Array, "n p g c"], whole: bool) -> Float[Array, "n f"]:
    return x.reshape(x.shape[0], -1) if whole else _average(x)


def copy_axes(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes of the copies of a loss replicated over `axes`: batch, then patch, then group."""
    return ("batch", *(axis for axis in ACTIVATION[1:3] if axis in axes))


def _spread(value: Float[Array, " n"], shape: tuple[int, ...]) -> Float[Array, "..."]:
    return jnp.broadcast_to(value.reshape(-1, *[1] * (len(shape) - 1)), shape)


def fused(value: Value, axes: tuple[Axis, ...], whole: bool = False) -> Replicated:
    """All copies at the cost of one loss; exact for every tangent and every cotangent.

    With delta [n, g, c], the derivative of the loss with respect to the averaged features, the
    tangent of copy (n, p, g) is <dx[n, p, g, :], delta[n, g, :]> / P, plus the tangent of the
    readout's parameters. Over an axis that is not replicated, these tangents are summed.

    Args:
        value: the loss of each row, see `compiler.objectives`.
        axes: the replicated axes: patch, group, both or none.
        whole: whether the loss reads all features, flattened, instead of averaged ones. Then delta
            is [n, p, g, c], and there is no division by P.
    """
    copied = copy_axes(axes)

    def shape(x: Float[Array, "n p g c"]) -> tuple[int, ...]:
        return tuple(x.shape[ACTIVATION.index(axis)] for axis in copied)

    @jax.custom_jvp
    def copies(readout: Any, x: Float[Array, "n p g c"]) -> Float[Array, "..."]:
        return _spread(value(readout, _merged(x, whole)), shape(x))

    def tangent(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
        (readout, x), (d_readout, dx) = primals, tangents
        merged = _merged(x, whole)
        loss, pull = jax.vjp(lambda features: value(readout, features), merged)
        tangent_out = jnp.zeros(shape(x), loss.dtype)
        if not isinstance(dx, SymbolicZero):
            (delta,) = pull(jnp.ones_like(loss))
            delta = delta.reshape(x.shape[0], -1, *x.shape[2:])
            delta = delta if whole else delta / x.shape[1]
            tangent_out += sum_to((dx * delta).sum(-1), ACTIVATION[:3], copied)
        leaves = jax.tree.leaves(d_readout, is_leaf=lambda t: isinstance(t, SymbolicZero))
        if not all(isinstance(leaf, SymbolicZero) for leaf in leaves):
            filled = jax.tree.map(_dense_tangent, d_readout, readout, is_leaf=_is_zero)
            _, readout_tangent = jax.jvp(lambda r: value(r, merged), (readout,), (filled,))
            tangent_out += _spread(readout_tangent, shape(x))
        return _spread(loss, shape(x)), tangent_out

    copies.defjvp(tangent, symbolic_zeros=True)
    return copies


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _dense_tangent(tangent: Any, primal: Any) -> Any:
    return jnp.zeros_like(primal) if _is_zero(tangent) else tangent


def apart(
    value: Value, axes: tuple[Axis, ...], whole: bool = False
) -> Callable[..., Float[Array, "..."]]:
    """Each copy evaluated by itself, with its own features from `x` and the rest from `others`.

    The arguments are those of `fused`.

    Returns:
        A function (readout, x, others) -> copies.
    """

    def copies(readout: Any, x: Float[Array, "n p g c"], others: Any) -> Float[Array, "..."]:
        _, patches, groups, _ = x.shape
        sizes = (patches if "patch" in axes else 1, groups if "group" in axes else 1)
        masks = jnp.eye(sizes[0] * sizes[1], dtype=bool).reshape(-1, *sizes)

        def one_copy(mask: Any) -> Float[Array, " n"]:
            return value(readout, _merged(jnp.where(mask[None, :, :, None], x, others), whole))

        rows = jax.lax.map(one_copy, masks).T
        copied = [size for size, axis in zip(sizes, ACTIVATION[1:3], strict=True) if axis in axes]
        return rows.reshape(x.shape[0], *copied)

    return copies


def naive(value: Value, axes: tuple[Axis, ...], whole: bool = False) -> Replicated:
    """Each copy evaluated by itself, with stop-gradients: slow, but a check for `fused`."""
    copies = apart(value, axes, whole)
    return lambda readout, x: copies(readout, x, jax.lax.stop_gradient(x))


LOWERINGS: dict[str, Callable[[Value, tuple[Axis, ...], bool], Replicated]] = {
    "fused": fused,
    "naive": naive,
}
