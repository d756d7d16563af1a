"""What the built-in layers on a grid of positions compute: convolutions and pooling.

A grid lies row by row in the patch axis. Windows begin (size - 1) // 2 positions outside of it,
so that those of odd size and stride 1 leave the grid as it is.
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
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q h d"]:
        """XLA's convolution."""
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
        """What the weight is multiplied by, in the weight's order, zero beyond the edges."""
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
    """What a window sees at each of its places, row by row, [n, i, j, g, c].

    Args:
        layer: with `size` and `stride`.
        x: the input.
        start: its shape.
        outside: what stands outside of the grid.
    """
    pad, stride = (layer.size - 1) // 2, layer.stride
    edges = ((0, 0), (pad, pad), (pad, pad), (0, 0), (0, 0))
    padded = jnp.pad(_on_grid(x, start), edges, constant_values=outside)
    rows, columns = layer.ends(start)[:2]
    for i, j in product(range(layer.size), repeat=2):
        last = (i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1)
        yield padded[:, i : last[0] : stride, j : last[1] : stride]


class Depthwise(layers.DepthwiseLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """A sum over the places of a window."""
        weight = params["w"].reshape(-1, 1, 1, 1, *params["w"].shape[2:])
        views = _shifted(self, x, start, 0.0)
        out = sum(w * view for w, view in zip(weight, views, strict=True))
        return jnp.asarray(out).reshape(x.shape[0], *self.ends(start).features)


class MaxPool(layers.MaxPoolLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """The largest over the places of a window; of equal ones the first has the derivative."""

        def larger(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
            # The derivative of jnp.maximum asks which operand equals the result. XLA may compute
            # an operand twice with different rounding, as it does behind a tanh, and then both
            # or neither do.
            return jnp.where(a >= b, a, b)

        largest = reduce(larger, _shifted(self, x, start, -jnp.inf))
        return largest.reshape(x.shape[0], *self.ends(start).features)


def _averages(before: int, after: int) -> Float[Array, "a b"]:
    weights = np.zeros((before, after))
    for column, span in enumerate(layers.averaged(before, after)):
        weights[span, column] = 1 / len(span)
    return jnp.asarray(weights)


class AveragePool(layers.AveragePoolLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """Averages over equal parts of the grid, overlapping where it does not divide.

        Part i of k of n positions goes from floor(i n / k) to ceil((i + 1) n / k), as in the
        adaptive average pooling of PyTorch; a grid smaller than the parts is repeated.
        """
        end = self.ends(start)
        sides = zip(start[:2], end[:2], strict=True)
        rows, columns = (_averages(before, after).astype(x.dtype) for before, after in sides)
        out = jnp.einsum("nhwgc,hi,wj->nijgc", _on_grid(x, start), rows, columns)
        return out.reshape(x.shape[0], *end.features)
