"""Random guesses: directions whose elements have mean zero and variance one."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from compiler.named_arrays.computed_once import computed_once
from fgspec.spec import guesses


def normal(key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent standard normal numbers [*rows, *shape], float32."""
    return computed_once(jax.random.normal(key, (*rows, *shape), jnp.float32))


class Normal(guesses.Normal):
    """Standard normal guesses."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """Independent standard normal numbers [*rows, *shape], float32."""
        return normal(key, rows, shape)


class Sphere(guesses.Sphere):
    """Guesses of equal length and uniform direction."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """[*rows, *shape], float32: each row uniform on the sphere of radius sqrt(size of shape).

        The elements are uncorrelated, with mean zero and variance one, so estimates along them are
        unbiased.
        """
        vectors = normal(key, rows, shape)
        vector_axes = tuple(range(len(rows), len(rows) + len(shape)))
        return vectors * lax.rsqrt(jnp.square(vectors).mean(vector_axes, keepdims=True))


class Rademacher(guesses.Rademacher):
    """Guesses of random signs."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """Independent signs [*rows, *shape]: -1 or 1 with equal probability, float32."""
        return signs(key, (*rows, *shape))


def signs(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent signs, -1 or 1 with equal probability, float32.

    Each random 32-bit word gives 32 signs: a bit of it becomes the sign bit of 1.0. This is ten
    times cheaper than one word for each sign.
    """
    lines, length = shape[:-1], shape[-1] if shape else 1
    words = _kept(jax.random.bits(key, (*lines, -(-length // 32)), jnp.uint32))
    shifts = jnp.arange(32, dtype=jnp.uint32).reshape(*[1] * words.ndim, 32)
    bits = (words[..., None] << shifts) & jnp.uint32(0x80000000)
    ones = lax.bitcast_convert_type(bits | jnp.uint32(0x3F800000), jnp.float32)
    return ones.reshape(*lines, -1)[..., :length].reshape(shape)


def _kept(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """The same words, as an array that XLA stores: one bit per sign.

    XLA fuses cheap operations into whatever reads their result, and takes the twenty rounds of
    threefry for cheap. But every word is read for each of its 32 signs, and wherever the signs are
    used, so it would be computed some 100 times. That took a fifth of an update on a CPU. XLA does
    not repeat a reduction, so the words go through one; an optimization barrier does not help,
    because XLA removes barriers before it fuses.
    """
    return lax.reduce_or(jnp.stack([words, jnp.zeros_like(words)]), (0,))
