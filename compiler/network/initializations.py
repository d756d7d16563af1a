"""The built-in initializations of weights."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fgspec.spec import initializations

Weights = Float[Array, "..."]


class _Deviating:
    """Normal weights with the standard deviation that the section computes from the fan-in."""

    def weight(self: Any, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Independent normal numbers of mean 0, float32."""
        return jax.random.normal(key, shape, jnp.float32) * self.deviation(fan_in)


class Kaiming(_Deviating, initializations.Kaiming):
    """Normal weights of standard deviation min(2 / sqrt(fan_in), 0.1) (Ren et al. 2022)."""


class Lecun(_Deviating, initializations.Lecun):
    """Normal weights of standard deviation min(1 / sqrt(fan_in), 0.1) (Ren et al. 2022)."""


class Normal(_Deviating, initializations.Normal):
    """Normal weights of standard deviation 0.1 (Ren et al. 2022)."""


class KaimingUniform(initializations.KaimingUniform):
    """Uniform weights (Fournier et al. 2023)."""

    def weight(self, key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Weights:
        """Uniform between plus and minus sqrt(6 / fan_in), float32."""
        bound = (6 / fan_in) ** 0.5
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
