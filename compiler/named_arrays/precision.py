"""The precision of what is never computed in less than float32."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def at_least_float32(dtype: jnp.dtype) -> jnp.dtype:
    """float64 of float64, else float32."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def precise_type(x: Shaped[Array, "..."]) -> jnp.dtype:
    """The type that `precise` gives an array."""
    return at_least_float32(x.dtype)


def precise(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """An array in float32, or as it is if that says more."""
    return x.astype(precise_type(x))
