"""Kinds of maps in layers: one function each for value, weights and cost, and one table row.

Activations are [n, p, g, c]: example, patch, group, channel of the group (`compiler.named_arrays.axes`).
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.network import spatial
from compiler.network.shapes import Layer, ParamSpec
from compiler.network.spatial import LayerParams


class Linear(NamedTuple):
    """A kind of map, linear but for `max_pool`.

    Attributes:
        apply: (parameters, x [n, p, g, c], layer) -> [n, p, g, c], without bias.
        weights: the weight of a layer of this kind, under `w`; none of a map without parameters.
        mixes: the axes along which an output depends on more than its own input.
        flops: of the map, forward, of one example.
        bias: the axes of the output that its bias has.
        windows: (x, layer) -> the numbers [n, q, k] that the weight is multiplied by at every
            position, if all positions share it and every output channel has all of them; then the
            weight's gradient of one example is a product of two matrices.
    """

    apply: Callable[[LayerParams, Float[Array, "n p g c"], Layer], Float[Array, "n q h d"]]
    weights: Callable[[Layer], dict[str, ParamSpec]]
    mixes: Callable[[Layer], frozenset[Axis]]
    flops: Callable[[Layer], int]
    bias: tuple[Axis, ...] = ("group", "channel")
    windows: Callable[[Float[Array, "n p g c"], Layer], Float[Array, "n q k"]] | None = None

    def params(self, layer: Layer) -> dict[str, ParamSpec]:
        """All parameters of a layer of this kind: weight, bias, scale and shift."""
        found = self.weights(layer)
        named = dict(zip(ACTIVATION[1:], layer.outputs, strict=True))
        if layer.bias and found:
            shape = tuple(named[axis] for axis in self.bias)
            axes: tuple[Axis | None, ...] = tuple(a if a != "channel" else None for a in self.bias)
            found = found | {"b": ParamSpec(shape, axes, found["w"].fan_in, "bias")}
        if layer.after is not None and layer.after.affine:
            scale = ParamSpec(layer.outputs[1:], ("group", None), 1, "scale")
            found = found | {"scale": scale, "shift": replace(scale, role="shift")}
        return found

    def __call__(
        self, params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
    ) -> Float[Array, "n q h d"]:
        """The map and its bias."""
        out = self.apply(params, x, layer)
        if "b" not in params:
            return out
        sizes = zip(ACTIVATION[1:], layer.outputs, strict=True)
        shape = tuple(size if axis in self.bias else 1 for axis, size in sizes)
        return out + params["b"].reshape(1, *shape)


def _dense(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n p h d"]:
    flat = x.reshape(*x.shape[:2], -1)
    out = flat @ params["w"].reshape(flat.shape[-1], -1)
    return out.reshape(x.shape[0], *layer.outputs)


def _dense_windows(x: Float[Array, "n p g c"], layer: Layer) -> Float[Array, "n p k"]:
    return x.reshape(*x.shape[:2], -1)


def _dense_weights(layer: Layer) -> dict[str, ParamSpec]:
    (_, groups_in, inside), (_, groups, channels) = layer.inputs, layer.outputs
    fan_in = groups_in * inside
    return {"w": ParamSpec((fan_in, groups, channels), (None, "group", None), fan_in)}


def _token(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n q g c"]:
    """One product for every example, which needs no transposition of what is large."""
    examples, _, *features = x.shape
    each = jnp.broadcast_to(params["w"], (examples, *params["w"].shape))
    flat = x.reshape(*x.shape[:2], -1)
    return jnp.einsum("npq,npk->nqk", each, flat).reshape(examples, -1, *features)


def _token_weights(layer: Layer) -> dict[str, ParamSpec]:
    before, after = layer.inputs[0], layer.outputs[0]
    return {"w": ParamSpec((before, after), (None, "patch"), before)}


def _grouped(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n p g d"]:
    """One product for every group, moved to the front and back where that fuses with the rest."""
    flat = x.reshape(-1, *x.shape[2:]).transpose(1, 0, 2)
    return (flat @ params["w"]).transpose(1, 0, 2).reshape(*x.shape[:3], -1)


def _grouped_weights(layer: Layer) -> dict[str, ParamSpec]:
    (_, groups, fan_in), (_, _, channels) = layer.inputs, layer.outputs
    return {"w": ParamSpec((groups, fan_in, channels), ("group", None, None), fan_in)}


def _full(params: LayerParams, x: Float[Array, "n p g c"], layer: Layer) -> Float[Array, "n 1 1 d"]:
    return (x.reshape(x.shape[0], -1) @ params["w"])[:, None, None]


def _full_weights(layer: Layer) -> dict[str, ParamSpec]:
    fan_in = prod(layer.inputs)
    return {"w": ParamSpec((fan_in, layer.outputs[-1]), (None, None), fan_in)}


def _identity(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n p g c"]:
    return x


def _product_flops(weights: Callable[[Layer], dict[str, ParamSpec]]) -> Callable[[Layer], int]:
    """Two per multiply-add of a map that takes fan-in inputs to every output."""
    return lambda layer: 2 * prod(layer.outputs) * weights(layer)["w"].fan_in


def _always(*axes: Axis) -> Callable[[Layer], frozenset[Axis]]:
    return lambda layer: frozenset(axes)


LINEARS: dict[str, Linear] = {
    "dense": Linear(
        _dense,
        _dense_weights,
        _always("group", "channel"),
        _product_flops(_dense_weights),
        windows=_dense_windows,
    ),
    "token": Linear(
        _token, _token_weights, _always("patch"), _product_flops(_token_weights), ("patch",)
    ),
    "grouped": Linear(
        _grouped, _grouped_weights, _always("channel"), _product_flops(_grouped_weights)
    ),
    "full": Linear(
        _full,
        _full_weights,
        _always("patch", "group", "channel"),
        _product_flops(_full_weights),
        ("channel",),
    ),
    "conv": Linear(
        spatial.conv,
        spatial.conv_weights,
        lambda layer: spatial.mixed_positions(layer) | frozenset[Axis](("group", "channel")),
        spatial.conv_flops,
        windows=spatial.conv_windows,
    ),
    "depthwise": Linear(
        spatial.depthwise,
        spatial.depthwise_weights,
        spatial.mixed_positions,
        spatial.depthwise_flops,
    ),
    "max_pool": Linear(
        spatial.max_pool, spatial.no_weights, spatial.mixed_positions, spatial.max_pool_flops
    ),
    "average_pool": Linear(
        spatial.average_pool,
        spatial.no_weights,
        spatial.mixed_positions,
        spatial.average_pool_flops,
    ),
    "identity": Linear(_identity, spatial.no_weights, _always(), lambda layer: 0),
}
"""By `Layer.kind`."""
