"""What the built-in initializations draw."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fgspec.spec import initializations

Weights = Float[Array, "..."]


def _normal(
    key: PRNGKeyArray, shape: tuple[int, ...], how: initializations.Initialization, fan_in: int
) -> Weights:
    return jax.random.normal(key, shape, jnp.float32) * how.deviation(fan_in)


class Kaiming(initializations.Kaiming):
    """The section with what it draws."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Normal numbers."""
        return _normal(key, shape, self, fan_in)


class Lecun(initializations.Lecun):
    """The section with what it draws."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Normal numbers."""
        return _normal(key, shape, self, fan_in)


class Normal(initializations.Normal):
    """The section with what it draws."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Normal numbers."""
        return _normal(key, shape, self, fan_in)


class KaimingUniform(initializations.KaimingUniform):
    """The section with what it draws."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Uniform numbers."""
        bound = (6 / fan_in) ** 0.5
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
