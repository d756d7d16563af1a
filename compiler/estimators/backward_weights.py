"""Backward weights that follow the signs of the forward ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import backward_weights


class SignSymmetric(backward_weights.SignSymmetric):
    """The section with what it computes."""

    def matched(
        self, drawn: Float[Array, "..."], forward: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """Random magnitudes, the forward weights' signs."""
        return jnp.sign(forward) * jnp.abs(drawn)


class Signs(backward_weights.Signs):
    """The section with what it computes."""

    def matched(
        self, drawn: Float[Array, "..."], forward: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The forward weights' signs."""
        return jnp.sign(forward)
