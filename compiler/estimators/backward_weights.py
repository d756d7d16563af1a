"""Feedback alignment with backward weights that follow the signs of the forward weights.

Both variants are from Liao, Leibo and Poggio 2016 (arXiv 1510.05067).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import backward_weights


class SignSymmetric(backward_weights.SignSymmetric):
    """Backward weights with random magnitudes and the signs of the forward weights."""

    def matched(
        self, drawn: Float[Array, "..."], forward: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """sign(W) |B|, for drawn weights B in the shape of the forward weights W."""
        return jnp.sign(forward) * jnp.abs(drawn)


class Signs(backward_weights.Signs):
    """Backward weights that are the signs of the forward weights: -1, 0 or 1."""

    def matched(
        self, drawn: Float[Array, "..."], forward: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """sign(W), for forward weights W; what was drawn is not used."""
        return jnp.sign(forward)
