"""Division by the length (Hinton 2022)."""

from typing import Any

from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import length_normalization


class LengthNormalization(length_normalization.LengthNormalization):
    """Division of all numbers of an example by their length."""

    def apply(
        self,
        x: Float[Array, "n p g c"],
        axes: tuple[int, ...],
        epsilon: float,
        moments: tuple[Any, Any] | None = None,
    ) -> Float[Array, "n p g c"]:
        """Returns x / sqrt(sum of x^2 over the axes + epsilon); a row of zeros stays zero.

        JAX derives it exactly: dx r - x r^3 <x, dx>, where r is one over that root.
        """
        return x * lax.rsqrt(jnp.square(x).sum(axes, keepdims=True) + epsilon)
