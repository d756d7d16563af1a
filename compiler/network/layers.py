"""Layers: a map with its normalizations and activation, applied and traced."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jax import lax
from jaxtyping import Array, Bool, Float

from compiler.named_arrays.axes import gathered
from compiler.network.feedback import with_feedback
from compiler.network.norms import Moments, Norm
from compiler.network.shapes import Layer, LayerParams


class LayerTrace(NamedTuple):
    """What the layerwise pull-back needs of one layer.

    Attributes:
        input: of its map, [n, p, g, c], normalized if a normalization stands before.
        derivative: of the activation, [n, p, g, c]; boolean where it is 0 or 1 only.
        moments: of this batch, under `before` and `after`, where a normalization couples examples.
    """

    input: Float[Array, "n p g c"]
    derivative: Bool[Array, "n q h d"] | Float[Array, "n q h d"]
    moments: dict[str, Moments]


def mapped(
    layer: Layer, params: LayerParams, x: Float[Array, "n p g c"], feedback: LayerParams | None
) -> Float[Array, "n q h d"]:
    """The map and its bias, in the input's precision.

    Errors travel through `feedback` if there is any.
    """
    names = layer.map_params()
    map_params = {name: value.astype(x.dtype) for name, value in params.items() if name in names}
    if not feedback:
        return layer.map(map_params, x)
    backward = {name: value.astype(x.dtype) for name, value in feedback.items()}
    return with_feedback(layer.map, backward)(map_params, x)


def scaled(
    layer: Layer, params: LayerParams, normed: Float[Array, "n p g c"]
) -> Float[Array, "n p g c"]:
    """What follows the normalization after the map, if it is affine."""
    if layer.after is None or not layer.after.affine:
        return normed
    scale, shift = (params[name].astype(normed.dtype) for name in ("scale", "shift"))
    return normed * scale[None, None] + shift[None, None]


def pre_activation(
    layer: Layer,
    params: LayerParams,
    x: Float[Array, "n p g c"],
    through_norm: bool = True,
    feedback: LayerParams | None = None,
) -> Float[Array, "n q h d"]:
    """The layer's output before perturbation, what it adds and activation, from its map's input.

    Args:
        layer: the layer.
        params: its parameters.
        x: input of the linear map, after the normalization that stands before it.
        through_norm: whether derivatives go through the normalization after it, or past it.
        feedback: backward weights, if errors do not travel through the forward ones.
    """
    z = mapped(layer, params, x, feedback)
    if layer.after is None:
        return z
    normed = layer.after(z)
    return scaled(layer, params, normed if through_norm else z + lax.stop_gradient(normed - z))


def apply_layer(
    layer: Layer,
    params: LayerParams,
    x: Float[Array, "n p g c"],
    added: Sequence[Float[Array, "_ q h d"]] = (),
    feedback: LayerParams | None = None,
    known: Mapping[str, Moments] | None = None,
) -> tuple[Float[Array, "n q h d"], LayerTrace]:
    """Apply a layer.

    Args:
        layer: the layer.
        params: its parameters.
        x: its input.
        added: to the pre-activation: its perturbation, of one example when the batch shares it,
            and the outputs that the layer adds.
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
    entering = gathered(entering, layer.mixes())
    z = normalized("after", layer.after, mapped(layer, params, entering, feedback))
    z = scaled(layer, params, z)
    z = sum((array.astype(z.dtype) for array in added), z)
    out, derivative = layer.activation.apply(z)
    return out, LayerTrace(entering, derivative, moments)
