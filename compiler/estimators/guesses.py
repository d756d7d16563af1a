"""Guesses that are drawn: random directions of zero mean and unit variance."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from fgspec.spec import guesses


def normal(key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent normal numbers of zero mean and unit variance, float32."""
    return jax.random.normal(key, (*rows, *shape), jnp.float32)


class Normal(guesses.Normal):
    """The section with its draws."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """Independent normal numbers."""
        return normal(key, rows, shape)


class Sphere(guesses.Sphere):
    """The section with its draws."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """Vectors uniform on the sphere of radius sqrt(dimension), float32.

        Their elements are uncorrelated, of zero mean and unit variance, so estimates along them are
        unbiased; unlike normal ones they all have the same length.
        """
        vectors, vector_axes = (
            normal(key, rows, shape),
            tuple(range(len(rows), len(rows) + len(shape))),
        )
        return vectors * lax.rsqrt(jnp.square(vectors).mean(vector_axes, keepdims=True))


class Rademacher(guesses.Rademacher):
    """The section with its draws."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """Independent signs, -1 or 1 with equal chances, float32."""
        return signs(key, (*rows, *shape))


def signs(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent signs, -1 or 1 with equal chances, float32.

    32 signs come from each random word, put in place as the sign bit of 1.0: ten times cheaper
    than drawing a word for each.
    """
    lines, length = shape[:-1], shape[-1] if shape else 1
    words = _kept(jax.random.bits(key, (*lines, -(-length // 32)), jnp.uint32))
    shifts = jnp.arange(32, dtype=jnp.uint32).reshape(*[1] * words.ndim, 32)
    bits = (words[..., None] << shifts) & jnp.uint32(0x80000000)
    ones = lax.bitcast_convert_type(bits | jnp.uint32(0x3F800000), jnp.float32)
    return ones.reshape(*lines, -1)[..., :length].reshape(shape)


def _kept(words: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """The same words, as an array that is stored: a bit for each sign.

    XLA fuses into whatever reads an array the cheap operations that make it. To it the twenty
    rounds of threefry are cheap, though a word is read for each of its 32 signs, and wherever they
    are used; so each would be made anew some 100 times, which took a fifth of an update on a CPU. A
    sum it does not repeat, and barriers it removes before it fuses.
    """
    return lax.reduce_or(jnp.stack([words, jnp.zeros_like(words)]), (0,))
