"""What the built-in initializations draw."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fgspec.spec import initializations

Weights = Float[Array, "..."]


class _Deviating:
    """Normal numbers of the section's deviation."""

    def weight(self: Any, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """See the base."""
        return jax.random.normal(key, shape, jnp.float32) * self.deviation(fan_in)


class Kaiming(_Deviating, initializations.Kaiming):
    """The section with what it draws."""


class Lecun(_Deviating, initializations.Lecun):
    """The section with what it draws."""


class Normal(_Deviating, initializations.Normal):
    """The section with what it draws."""


class KaimingUniform(initializations.KaimingUniform):
    """The section with what it draws."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Uniform numbers."""
        bound = (6 / fan_in) ** 0.5
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
