"""The built-in layers that need no grid of positions.

Activations are [n, p, g, c]: example, patch, channel group, channel in the group.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import layers
from fgspec.spec.shapes import Extent

Params = Mapping[str, Float[Array, "..."]]
X = Float[Array, "n p g c"]


class Dense(layers.DenseLayer):
    """A linear map of all channels of a position, with the same weights at every position."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n p h d"]:
        """One matrix product for all examples and positions."""
        flat = x.reshape(*x.shape[:2], -1)
        out = flat @ params["w"].reshape(flat.shape[-1], -1)
        return out.reshape(x.shape[0], *self.ends(start).features)

    def windows(self, x: X, start: Extent) -> Float[Array, "n p k"]:
        """The channels of each position: the vectors that the weight is multiplied with."""
        return x.reshape(*x.shape[:2], -1)


class Token(layers.TokenLayer):
    """A linear map over patches, with the same weights for every channel."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """One matrix product per example, which transposes no large array."""
        # For a single einsum over patches XLA moved large arrays three times, and the gradient of
        # the weights took 2 to 5 times as long.
        examples, _, *features = x.shape
        weights = jnp.broadcast_to(params["w"], (examples, *params["w"].shape))
        flat = x.reshape(*x.shape[:2], -1)
        return jnp.einsum("npq,npk->nqk", weights, flat).reshape(examples, -1, *features)


class Grouped(layers.GroupedLayer):
    """A linear map within each channel group, with weights of its own for each group."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n p g d"]:
        """One matrix product per group; XLA fuses the transpositions around it."""
        flat = x.reshape(-1, *x.shape[2:]).transpose(1, 0, 2)
        return (flat @ params["w"]).transpose(1, 0, 2).reshape(*x.shape[:3], -1)


class Full(layers.FullLayer):
    """A linear map of all positions and channels."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n 1 1 d"]:
        """One matrix product for all examples."""
        return (x.reshape(x.shape[0], -1) @ params["w"])[:, None, None]


class Identity(layers.IdentityLayer):
    """No map, for layers that only normalize, add or activate."""

    def apply(self, params: Params, x: X, start: Extent) -> X:
        """The input, unchanged."""
        return x
