"""Linear layers with their normalizations: one function each, and one table row.

Activations are [n, p, g, c]: example, patch, group, channel of the group (`compiler.axes`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from compiler.axes import ACTIVATION, Axis
from compiler.network.feedback import with_feedback

Activation = Float[Array, "n p g c"]
LayerParams = Mapping[str, Float[Array, "..."]]


class Moments(NamedTuple):
    """Mean and (biased) variance, with axes of length 1 where they were taken."""

    mean: Float[Array, "n p g c"]
    variance: Float[Array, "n p g c"]


@dataclass(frozen=True)
class Norm:
    """Normalization to zero mean and unit variance over the named axes, no affine parameters."""

    over: tuple[Axis, ...]
    epsilon: float

    @property
    def running(self) -> bool:
        """Whether it couples examples, and so needs running statistics in evaluation."""
        return "batch" in self.over

    def moments(self, x: Float[Array, "n p g c"]) -> Moments:
        """The moments of `x` that it is normalized by."""
        where = tuple(ACTIVATION.index(axis) for axis in self.over)
        mean = x.mean(where, keepdims=True)
        return Moments(mean, jnp.square(x - mean).mean(where, keepdims=True))

    def shape(self, features: tuple[int, int, int]) -> tuple[int, ...]:
        """The shape of the moments of features [p, g, c] of any number of examples."""
        sizes = zip(ACTIVATION, (1, *features), strict=True)
        return tuple(1 if axis in self.over else size for axis, size in sizes)

    def __call__(
        self, x: Float[Array, "n p g c"], known: Moments | None = None
    ) -> Float[Array, "n p g c"]:
        """Normalize `x` by its own moments or by `known` ones; adds `epsilon` to the variance."""
        where = tuple(ACTIVATION.index(axis) for axis in self.over)
        centred = x - (x.mean(where, keepdims=True) if known is None else known.mean)
        own = (centred * centred).mean(where, keepdims=True) if known is None else known.variance
        return centred * lax.rsqrt(own + self.epsilon)


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
        moments: of this batch, under `before` and `after`, where a normalization couples examples.
    """

    input: Float[Array, "n p g c"]
    active: Bool[Array, "n q h d"]
    moments: dict[str, Moments]


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
    added: Sequence[Float[Array, "_ q h d"]],
    feedback: LayerParams | None = None,
    known: Mapping[str, Moments] | None = None,
) -> tuple[Float[Array, "n q h d"], LayerTrace]:
    """Apply a layer.

    Args:
        layer: the layer.
        params: its parameters.
        x: its input.
        added: to the pre-activation: its perturbation, of one example when the batch shares it,
            and the block's input where the layer is residual.
        feedback: backward weights, if errors do not travel through the forward ones.
        known: moments to normalize by, under `before` and `after`, instead of the batch's.
    """
    moments: dict[str, Moments] = {}

    def normalized(place: str, norm: Norm | None, x: Float[Array, "..."]) -> Float[Array, "..."]:
        if norm is None:
            return x
        if norm.running:
            moments[place] = norm.moments(x) if known is None else known[place]
        return norm(x, moments.get(place))

    entering = normalized("before", layer.before, x)
    z = pre_activation(layer, params, entering, through_norm=False, feedback=feedback)
    z = normalized("after", layer.after, z)
    out = jnp.maximum(sum(added, z), 0)
    return out, LayerTrace(entering, out > 0, moments)
