"""Maps over a grid of positions: convolutions and pooling.

A grid lies row by row in the patch axis. Windows begin (size - 1) // 2 positions outside of it,
so that those of odd size and stride 1 leave the grid as it is.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import product
from math import prod

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from compiler.named_arrays.axes import Axis
from compiler.network.shapes import Layer, ParamSpec

LayerParams = Mapping[str, Float[Array, "..."]]


def mixed_positions(layer: Layer) -> frozenset[Axis]:
    """The patch axis, unless a window of one position leaves every position where it is."""
    still = layer.size == layer.stride == 1 and layer.start[:2] == layer.end[:2]
    return frozenset() if still else frozenset({"patch"})


def _on_grid(x: Float[Array, "n p g c"], layer: Layer) -> Float[Array, "n h w g c"]:
    return x.reshape(x.shape[0], *layer.start[:2], *x.shape[2:])


def conv(params: LayerParams, x: Float[Array, "n p g c"], layer: Layer) -> Float[Array, "n q h d"]:
    """A convolution over all channels."""
    image = _on_grid(x, layer).reshape(x.shape[0], *layer.start[:2], -1)
    weight, pad = params["w"], (layer.size - 1) // 2
    out = lax.conv_general_dilated(
        image,
        weight.reshape(*weight.shape[:3], -1),
        (layer.stride, layer.stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.reshape(x.shape[0], *layer.outputs)


def conv_windows(x: Float[Array, "n p g c"], layer: Layer) -> Float[Array, "n q k"]:
    """What a convolution multiplies its weight by, in the weight's order, zero beyond the edges."""
    (rows, columns), pad = layer.end[:2], (layer.size - 1) // 2
    image = _on_grid(x, layer).reshape(x.shape[0], *layer.start[:2], -1)
    padded = jnp.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    far = (layer.stride * (rows - 1) + 1, layer.stride * (columns - 1) + 1)
    moved = [
        padded[:, i : i + far[0] : layer.stride, j : j + far[1] : layer.stride]
        for i, j in product(range(layer.size), repeat=2)
    ]
    return jnp.concatenate(moved, -1).reshape(x.shape[0], rows * columns, -1)


def conv_weights(layer: Layer) -> dict[str, ParamSpec]:
    """[size, size, in, g, c]."""
    (_, groups_in, inside), (_, groups, channels) = layer.inputs, layer.outputs
    fan_in = layer.size**2 * groups_in * inside
    shape = (layer.size, layer.size, groups_in * inside, groups, channels)
    return {"w": ParamSpec(shape, (None, None, None, "group", None), fan_in)}


def conv_flops(layer: Layer) -> int:
    """Two per multiply-add of a weight and a position inside the grid."""
    pad = (layer.size - 1) // 2
    inside = [
        sum(
            0 <= at * layer.stride - pad + k < side
            for at in range(after)
            for k in range(layer.size)
        )
        for side, after in zip(layer.start[:2], layer.end[:2], strict=True)
    ]
    return 2 * prod(inside) * prod(layer.inputs[1:]) * prod(layer.outputs[1:])


def _shifted(
    x: Float[Array, "n p g c"], layer: Layer, outside: float
) -> Iterator[Float[Array, "n i j g c"]]:
    """What a window sees at each of its places, row by row; `outside` of the grid a constant."""
    pad, stride = (layer.size - 1) // 2, layer.stride
    edges = ((0, 0), (pad, pad), (pad, pad), (0, 0), (0, 0))
    padded = jnp.pad(_on_grid(x, layer), edges, constant_values=outside)
    rows, columns = layer.end[:2]
    for i, j in product(range(layer.size), repeat=2):
        last = (i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1)
        yield padded[:, i : last[0] : stride, j : last[1] : stride]


def depthwise(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n q g c"]:
    """A convolution of every channel by itself."""
    weight = params["w"].reshape(-1, 1, 1, 1, *params["w"].shape[2:])
    out = sum(w * seen for w, seen in zip(weight, _shifted(x, layer, 0.0), strict=True))
    return jnp.asarray(out).reshape(x.shape[0], *layer.outputs)


def depthwise_weights(layer: Layer) -> dict[str, ParamSpec]:
    """[size, size, g, c]."""
    shape = (layer.size, layer.size, *layer.outputs[1:])
    return {"w": ParamSpec(shape, (None, None, "group", None), layer.size**2)}


def depthwise_flops(layer: Layer) -> int:
    """Two per multiply-add."""
    return 2 * layer.size**2 * prod(layer.outputs)


def max_pool(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n q g c"]:
    """The largest value in each window."""
    largest = reduce(jnp.maximum, _shifted(x, layer, -jnp.inf))
    return largest.reshape(x.shape[0], *layer.outputs)


def max_pool_flops(layer: Layer) -> int:
    """One per comparison."""
    return layer.size**2 * prod(layer.outputs)


def _spans(before: int, after: int) -> list[range]:
    """For every position of an adaptive pooling the positions that it averages, overlapping."""
    return [range(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]


def _averages(before: int, after: int) -> Float[Array, "a b"]:
    weights = np.zeros((before, after), np.float32)
    for column, span in enumerate(_spans(before, after)):
        weights[span, column] = 1 / len(span)
    return jnp.asarray(weights)


def average_pool(
    params: LayerParams, x: Float[Array, "n p g c"], layer: Layer
) -> Float[Array, "n q g c"]:
    """Averages over equal parts of the grid, overlapping where it does not divide.

    Part i of k of n positions goes from floor(i n / k) to ceil((i + 1) n / k), as in the adaptive
    average pooling of PyTorch; a grid smaller than the parts is repeated.
    """
    sides = zip(layer.start[:2], layer.end[:2], strict=True)
    rows, columns = (_averages(before, after).astype(x.dtype) for before, after in sides)
    out = jnp.einsum("nhwgc,hi,wj->nijgc", _on_grid(x, layer), rows, columns)
    return out.reshape(x.shape[0], *layer.outputs)


def average_pool_flops(layer: Layer) -> int:
    """One per addition."""
    sides = zip(layer.start[:2], layer.end[:2], strict=True)
    added = prod(sum(len(span) for span in _spans(before, after)) for before, after in sides)
    return added * prod(layer.outputs[1:])


def no_weights(layer: Layer) -> dict[str, ParamSpec]:
    """Of a map without parameters."""
    return {}
