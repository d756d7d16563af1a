"""Floating-point types and precisions: those of blocks, and where at least float32 is kept."""

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

P = ParamSpec("P")
T = TypeVar("T")

EXACT = "highest"
"""JAX's name for products computed in the precision of their factors, on every device."""


class Arithmetic(NamedTuple):
    """The arithmetic of blocks.

    Attributes:
        dtype: the type of their features.
        products: the precision of their matrix products and convolutions, by JAX's name.
    """

    dtype: str
    products: str = EXACT


ARITHMETIC = {
    "float32": Arithmetic("float32"),
    "tf32": Arithmetic("float32", "tensorfloat32"),
    "bfloat16": Arithmetic("bfloat16"),
    "float64": Arithmetic("float64"),
}
"""By the value of `compile.precision`; only `Program.gradient` uses `float64`, no spec can."""


def in_full(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with products in the precision of their factors, whatever blocks compute in."""

    @wraps(function)
    def exact(*args: P.args, **named: P.kwargs) -> T:
        with jax.default_matmul_precision(EXACT):
            return function(*args, **named)

    return exact


def inner(a: Shaped[Array, " d"], b: Shaped[Array, " d"]) -> Shaped[Array, ""]:
    """The inner product of two vectors, in the precision of its factors."""
    return jnp.vdot(a, b, precision=EXACT)


def at_least_float32(dtype: jnp.dtype) -> jnp.dtype:
    """float64 for float64, float32 for every other type."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def precise_type(x: Shaped[Array, "..."]) -> jnp.dtype:
    """The type that `precise` gives an array."""
    return at_least_float32(x.dtype)


def precise(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """The array in float32, or unchanged if it is float64."""
    return x.astype(precise_type(x))
