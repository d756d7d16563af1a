"""What numbers are computed in: those of blocks, and what is never less than float32."""

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

P = ParamSpec("P")
T = TypeVar("T")

EXACT = "highest"
"""Of JAX's precisions of a product: that of its factors, whatever the device."""


class Arithmetic(NamedTuple):
    """What blocks compute in.

    Attributes:
        dtype: of their features.
        products: of their matrix products and convolutions; one of JAX's precisions.
    """

    dtype: str
    products: str = EXACT


ARITHMETIC = {
    "float32": Arithmetic("float32"),
    "tf32": Arithmetic("float32", "tensorfloat32"),
    "bfloat16": Arithmetic("bfloat16"),
    "float64": Arithmetic("float64"),
}
"""By the value of `compile.precision`; `float64` is none of a spec, but of `Program.gradient`."""


def in_full(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with products as exact as their factors, whatever blocks compute in."""

    @wraps(function)
    def exact(*args: P.args, **named: P.kwargs) -> T:
        with jax.default_matmul_precision(EXACT):
            return function(*args, **named)

    return exact


def inner(a: Shaped[Array, " d"], b: Shaped[Array, " d"]) -> Shaped[Array, ""]:
    """The inner product, in the precision of its factors."""
    return jnp.vdot(a, b, precision=EXACT)


def at_least_float32(dtype: jnp.dtype) -> jnp.dtype:
    """float64 of float64, else float32."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def precise_type(x: Shaped[Array, "..."]) -> jnp.dtype:
    """The type that `precise` gives an array."""
    return at_least_float32(x.dtype)


def precise(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """An array in float32, or as it is if that says more."""
    return x.astype(precise_type(x))
