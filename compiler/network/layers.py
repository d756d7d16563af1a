"""How a layer is applied: its map, normalizations and activation, and what it keeps for later."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jax import lax
from jaxtyping import Array, Bool, Float

from compiler.named_arrays.axes import gathered
from compiler.network.feedback import with_feedback
from compiler.network.norms import Moments, Norm
from compiler.network.shapes import Layer, LayerParams


class LayerTrace(NamedTuple):
    """The values of one layer that the layerwise pull-back needs.

    Attributes:
        input: the input of its map, after the normalization before it, if there is one.
        derivative: the derivative of its activation; boolean if it is only 0 or 1.
        moments: the batch's moments, under `before` and `after`, for normalizations that couple
            examples.
    """

    input: Float[Array, "n p g c"]
    derivative: Bool[Array, "n q h d"] | Float[Array, "n q h d"]
    moments: dict[str, Moments]


def mapped(
    layer: Layer, params: LayerParams, x: Float[Array, "n p g c"], feedback: LayerParams | None
) -> Float[Array, "n q h d"]:
    """The output of the map and its bias, in the type of the input.

    Errors go back through the weights in `feedback`, if there are any.
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
    """The learnt scale and shift after the normalization; unchanged if it is not affine."""
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
    """The pre-activation of a layer, before its perturbation and the outputs that it adds.

    Args:
        layer: the layer.
        params: its parameters.
        x: the input of its linear map, after the normalization before it.
        through_norm: whether to differentiate the normalization after the map; if not, its
            derivative is taken to be 1.
        feedback: backward weights, if errors do not go through the forward weights.
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
    running: Mapping[str, Moments] | None = None,
) -> tuple[Float[Array, "n q h d"], LayerTrace]:
    """The output of a layer, and the values that the pull-back needs.

    Args:
        layer: the layer.
        params: its parameters.
        x: its input.
        added: arrays to add to the pre-activation: its perturbation (with one row, if all examples
            share it) and the outputs that the layer adds.
        feedback: backward weights, if errors do not go through the forward weights.
        running: moments to normalize with, under `before` and `after`, instead of the batch's.
    """
    moments: dict[str, Moments] = {}

    def normalized(place: str, norm: Norm | None, x: Float[Array, "..."]) -> Float[Array, "..."]:
        if norm is None:
            return x
        if norm.running:
            moments[place] = norm.moments(x) if running is None else running[place]
        return norm(x, moments.get(place))

    entering = normalized("before", layer.before, x)
    entering = gathered(entering, layer.mixes())
    z = normalized("after", layer.after, mapped(layer, params, entering, feedback))
    z = scaled(layer, params, z)
    z = sum((array.astype(z.dtype) for array in added), z)
    out, derivative = layer.activation.apply(z)
    return out, LayerTrace(entering, derivative, moments)
