"""What the built-in layers without a grid compute.

Activations are [n, p, g, c]: example, patch, group, channel of the group.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import layers
from fgspec.spec.shapes import Extent

Params = Mapping[str, Float[Array, "..."]]
X = Float[Array, "n p g c"]


class Dense(layers.DenseLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n p h d"]:
        """One product for all examples and positions."""
        flat = x.reshape(*x.shape[:2], -1)
        out = flat @ params["w"].reshape(flat.shape[-1], -1)
        return out.reshape(x.shape[0], *self.ends(start).features)

    def windows(self, x: X, start: Extent) -> Float[Array, "n p k"]:
        """The channels of each position."""
        return x.reshape(*x.shape[:2], -1)


class Token(layers.TokenLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n q g c"]:
        """One product for every example, which needs no transposition of what is large."""
        # XLA's own choice for the einsum over patches moved large arrays three times, and took 2 to
        # 5 times as long for its weight's gradient.
        examples, _, *features = x.shape
        weights = jnp.broadcast_to(params["w"], (examples, *params["w"].shape))
        flat = x.reshape(*x.shape[:2], -1)
        return jnp.einsum("npq,npk->nqk", weights, flat).reshape(examples, -1, *features)


class Grouped(layers.GroupedLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n p g d"]:
        """One product for every group, moved to the front and back where that fuses."""
        flat = x.reshape(-1, *x.shape[2:]).transpose(1, 0, 2)
        return (flat @ params["w"]).transpose(1, 0, 2).reshape(*x.shape[:3], -1)


class Full(layers.FullLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> Float[Array, "n 1 1 d"]:
        """One product for all examples."""
        return (x.reshape(x.shape[0], -1) @ params["w"])[:, None, None]


class Identity(layers.IdentityLayer):
    """The section with what it computes."""

    def apply(self, params: Params, x: X, start: Extent) -> X:
        """The input."""
        return x
