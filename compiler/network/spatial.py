"""The built-in layers on a grid of positions: convolutions and pooling.

The positions of the grid are row by row in the patch axis. Windows start (size - 1) // 2 positions
outside of the grid, so that an odd size with stride 1 keeps the size of the grid.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from fgspec.spec import layers
from fgspec.spec.shapes import Extent

Params = Mapping[str, Float[Array, "..."]]
X = Float[Array, "n p g c"]


def _on_grid(x: X, start: Extent) -> Float[Array, "n h w g c"]:
    return x.reshape(x.shape[0], *start[:2], *x.shape[2:])


class Conv(layers.ConvLayer):
    """A convolution with square windows, of all channels."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q h d"]:
        """The convolution of XLA, with zeros outside of the grid."""
        image = _on_grid(x, start).reshape(x.shape[0], *start[:2], -1)
        weight, pad = params["w"], (self.size - 1) // 2
        out = lax.conv_general_dilated(
            image,
            weight.reshape(*weight.shape[:3], -1),
            (self.stride, self.stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return out.reshape(x.shape[0], *self.ends(start).features)

    def windows(self, x: X, start: Extent) -> Float[Array, "n q k"]:
        """The vectors that the weight is multiplied with, one per position of the output."""
        (rows, columns), pad = self.ends(start)[:2], (self.size - 1) // 2
        image = _on_grid(x, start).reshape(x.shape[0], *start[:2], -1)
        padded = jnp.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        far = (self.stride * (rows - 1) + 1, self.stride * (columns - 1) + 1)
        shifted = [
            padded[:, i : i + far[0] : self.stride, j : j + far[1] : self.stride]
            for i, j in product(range(self.size), repeat=2)
        ]
        return jnp.concatenate(shifted, -1).reshape(x.shape[0], rows * columns, -1)


def _shifted(layer: Any, x: X, start: Extent, outside: float) -> Iterator[Float[Array, "..."]]:
    """For each place in a window, row by row: the input seen there, [n, i, j, g, c].

    Args:
        layer: a layer with `size` and `stride`.
        x: the input.
        start: its shape.
        outside: the value outside of the grid.
    """
    pad, stride = (layer.size - 1) // 2, layer.stride
    edges = ((0, 0), (pad, pad), (pad, pad), (0, 0), (0, 0))
    padded = jnp.pad(_on_grid(x, start), edges, constant_values=outside)
    rows, columns = layer.ends(start)[:2]
    for i, j in product(range(layer.size), repeat=2):
        last = (i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1)
        yield padded[:, i : last[0] : stride, j : last[1] : stride]


class Depthwise(layers.DepthwiseLayer):
    """A convolution of each channel by itself."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """The sum over the places in a window."""
        weight = params["w"].reshape(-1, 1, 1, 1, *params["w"].shape[2:])
        views = _shifted(self, x, start, 0.0)
        out = sum(w * view for w, view in zip(weight, views, strict=True))
        return jnp.asarray(out).reshape(x.shape[0], *self.ends(start).features)


class MaxPool(layers.MaxPoolLayer):
    """Max pooling with square windows."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """The maximum over a window; of equal values the first one has the derivative."""

        def larger(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
            # The derivative of jnp.maximum compares the operands with the result. XLA may compute
            # an operand twice with different rounding, as it does after a tanh; then both operands
            # or neither equal the result.
            return jnp.where(a >= b, a, b)

        largest = reduce(larger, _shifted(self, x, start, -jnp.inf))
        return largest.reshape(x.shape[0], *self.ends(start).features)


def _averages(before: int, after: int) -> Float[Array, "a b"]:
    weights = np.zeros((before, after))
    for column, span in enumerate(layers.averaged(before, after)):
        weights[span, column] = 1 / len(span)
    return jnp.asarray(weights)


class AveragePool(layers.AveragePoolLayer):
    """Average pooling to a grid of a given size."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """The averages over parts of the grid; parts overlap if their number does not divide it.

        Part i of k, of n positions, goes from floor(i n / k) to ceil((i + 1) n / k), as in the
        adaptive average pooling of PyTorch. If there are more parts than positions, positions are
        repeated.
        """
        end = self.ends(start)
        sides = zip(start[:2], end[:2], strict=True)
        rows, columns = (_averages(before, after).astype(x.dtype) for before, after in sides)
        out = jnp.einsum("nhwgc,hi,wj->nijgc", _on_grid(x, start), rows, columns)
        return out.reshape(x.shape[0], *end.features)
