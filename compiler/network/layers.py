"""Linear layers with their normalizations: one function each, and one table row.

Activations are [n, p, g, c]: example, patch, group, channel of the group (`compiler.axes`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from compiler.axes import ACTIVATION, Axis
from compiler.network.feedback import with_feedback

Activation = Float[Array, "n p g c"]
LayerParams = Mapping[str, Float[Array, "..."]]


@dataclass(frozen=True)
class Norm:
    """Normalization to zero mean and unit variance over the named axes, no affine parameters."""

    over: tuple[Axis, ...]
    epsilon: float

    def __call__(self, x: Float[Array, "n p g c"]) -> Float[Array, "n p g c"]:
        """Normalize `x`; `epsilon` is added to the variance."""
        where = tuple(ACTIVATION.index(axis) for axis in self.over)
        centred = x - x.mean(where, keepdims=True)
        variance = (centred * centred).mean(where, keepdims=True)
        return centred * lax.rsqrt(variance + self.epsilon)


@dataclass(frozen=True)
class ParamSpec:
    """Shape, named axes (None where an axis has no name) and fan-in of one parameter."""

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    fan_in: int


@dataclass(frozen=True)
class Layer:
    """One layer: [norm] linear + bias [norm] [+ perturbation] [+ block input] ReLU.

    Attributes:
        name: unique within its block.
        kind: a row of `LINEARS`.
        inputs: [p, g, c] of its input.
        outputs: [p, g, c] of its output.
        before, after: normalizations around the linear map.
        residual: whether the block's input is added before the ReLU.
    """

    name: str
    kind: str
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    before: Norm | None = None
    after: Norm | None = None
    residual: bool = False


class Linear(NamedTuple):
    """A kind of linear map.

    Attributes:
        apply: (weights, x [n, p, g, c], outputs [p, g, c]) -> [n, p, g, c], bias included.
        params: the parameters of a layer of this kind.
        mixes: the axes along which an output depends on more than its own input.
    """

    apply: Callable[[LayerParams, Activation, tuple[int, int, int]], Activation]
    params: Callable[[Layer], dict[str, ParamSpec]]
    mixes: frozenset[Axis]


def _dense(
    params: LayerParams, x: Float[Array, "n p g c"], outputs: tuple[int, int, int]
) -> Float[Array, "n p h d"]:
    flat = x.reshape(*x.shape[:2], -1)
    out = flat @ params["w"].reshape(flat.shape[-1], -1)
    return out.reshape(x.shape[0], *outputs) + params["b"][None, None]


def _dense_params(layer: Layer) -> dict[str, ParamSpec]:
    (_, groups_in, inside), (_, groups, channels) = layer.inputs, layer.outputs
    fan_in = groups_in * inside
    return {
        "w": ParamSpec((fan_in, groups, channels), (None, "group", None), fan_in),
        "b": ParamSpec((groups, channels), ("group", None), fan_in),
    }


def _token(
    params: LayerParams, x: Float[Array, "n p g c"], outputs: tuple[int, int, int]
) -> Float[Array, "n q g c"]:
    mixed = jnp.einsum("npgc,pq->nqgc", x, params["w"])
    return mixed + params["b"][None, :, None, None]


def _token_params(layer: Layer) -> dict[str, ParamSpec]:
    before, after = layer.inputs[0], layer.outputs[0]
    return {
        "w": ParamSpec((before, after), (None, "patch"), before),
        "b": ParamSpec((after,), ("patch",), before),
    }


def _grouped(
    params: LayerParams, x: Float[Array, "n p g c"], outputs: tuple[int, int, int]
) -> Float[Array, "n p g d"]:
    return jnp.einsum("npgc,gcd->npgd", x, params["w"]) + params["b"][None, None]


def _grouped_params(layer: Layer) -> dict[str, ParamSpec]:
    (_, groups, fan_in), (_, _, channels) = layer.inputs, layer.outputs
    return {
        "w": ParamSpec((groups, fan_in, channels), ("group", None, None), fan_in),
        "b": ParamSpec((groups, channels), ("group", None), fan_in),
    }


LINEARS: dict[str, Linear] = {
    "dense": Linear(_dense, _dense_params, frozenset({"group", "channel"})),
    "token": Linear(_token, _token_params, frozenset({"patch"})),
    "grouped": Linear(_grouped, _grouped_params, frozenset({"channel"})),
}


class LayerTrace(NamedTuple):
    """What the layerwise pull-back needs of one layer: its linear map's input, and where it fires.

    Attributes:
        input: [n, p, g, c], normalized if a normalization stands before.
        active: [n, p, g, c], whether the ReLU let its input through.
    """

    input: Float[Array, "n p g c"]
    active: Bool[Array, "n q h d"]


def pre_activation(
    layer: Layer,
    params: LayerParams,
    x: Float[Array, "n p g c"],
    through_norm: bool = True,
    feedback: LayerParams | None = None,
) -> Float[Array, "n q h d"]:
    """The layer's output before perturbation, residual and ReLU, from its linear map's input.

    Args:
        layer: the layer.
        params: its parameters.
        x: input of the linear map, after the normalization that stands before it.
        through_norm: whether to apply the normalization that stands after it.
        feedback: backward weights, if errors do not travel through the forward ones.
    """

    def apply(params: LayerParams, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return LINEARS[layer.kind].apply(params, x, layer.outputs)

    z = (apply if feedback is None else with_feedback(apply, feedback))(params, x)
    return layer.after(z) if layer.after is not None and through_norm else z


def apply_layer(
    layer: Layer,
    params: LayerParams,
    x: Float[Array, "n p g c"],
    skip: Float[Array, "..."],
    tap: Float[Array, "m q h d"] | None,
    feedback: LayerParams | None = None,
) -> tuple[Float[Array, "n q h d"], LayerTrace]:
    """Apply a layer.

    Args:
        layer: the layer.
        params: its parameters.
        x: its input.
        skip: the block's input, added where the layer is residual.
        tap: perturbation of the pre-activation; m is n, or 1 when the batch shares it.
        feedback: backward weights, if errors do not travel through the forward ones.
    """
    entering = layer.before(x) if layer.before is not None else x
    z = pre_activation(layer, params, entering, feedback=feedback)
    z = z if tap is None else z + tap
    z = z + skip if layer.residual else z
    out = jnp.maximum(z, 0)
    return out, LayerTrace(entering, out > 0)
