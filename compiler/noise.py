"""Randomness addressed by name, step and sample: never threaded, the same on every mesh."""

import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

Guess = Callable[[PRNGKeyArray, tuple[int, ...]], Float[Array, "..."]]
KeyData = UInt32[Array, "2"]


def key_data(seed: int) -> KeyData:
    """The raw key of a seed, as the state holds it; threefry whatever jax's default is."""
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def address(
    key: KeyData, name: str, step: Int[Array, ""] | int = 0, sample: Int[Array, ""] | int = 0
) -> PRNGKeyArray:
    """The key of one named stream at one step and sample, of the raw `key` of a run."""
    stream = jax.random.wrap_key_data(key, impl="threefry2x32")
    for data in (zlib.crc32(name.encode()), step, sample):
        stream = jax.random.fold_in(stream, data)
    return stream


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent normal numbers of zero mean and unit variance, float32."""
    return jax.random.normal(key, shape, jnp.float32)


def rademacher(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent signs, -1 or 1 with equal chances, float32.

    32 signs come from each random word, put in place as the sign bit of 1.0: ten times cheaper
    than drawing a word for each.
    """
    rows, length = shape[:-1], shape[-1] if shape else 1
    words = jax.random.bits(key, (*rows, -(-length // 32)), jnp.uint32)
    shifts = jnp.arange(32, dtype=jnp.uint32).reshape(*[1] * words.ndim, 32)
    signs = (words[..., None] << shifts) & jnp.uint32(0x80000000)
    ones = lax.bitcast_convert_type(signs | jnp.uint32(0x3F800000), jnp.float32)
    return ones.reshape(*rows, -1)[..., :length].reshape(shape)


GUESSES: dict[str, Guess] = {"normal": normal, "rademacher": rademacher}
"""Directions of zero mean and unit variance, by `gradient.perturbation.guess.type`."""
