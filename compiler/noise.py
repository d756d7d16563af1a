"""Randomness addressed by name, step and sample: never threaded, the same on every mesh."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, UInt32

from fgspec.errors import UserError
from fgspec.spec import plugins


class Guess(NamedTuple):
    """Random directions of zero mean and unit variance.

    Attributes:
        draw: (key, how many vectors, as a shape; shape of one) -> float32 array of both shapes in
            a row.
        kurtosis: such that E|<g, u> u|^2 = (d + kurtosis - 1) |g|^2 for d numbers; the fourth
            moment of one number where they are independent.
    """

    draw: Callable[[PRNGKeyArray, tuple[int, ...], tuple[int, ...]], Float[Array, "..."]]
    kurtosis: float


KeyData = UInt32[Array, "2"]


def key_data(seed: int) -> KeyData:
    """The raw key of a seed, as the state holds it; threefry whatever jax's default is."""
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def stream_code(name: str) -> int:
    """What stands for a stream's name in its keys, 32 bits."""
    return zlib.crc32(name.encode())


def address(
    key: KeyData,
    name: str | UInt32[Array, ""],
    step: Int[Array, ""] | int = 0,
    sample: Int[Array, ""] | int = 0,
) -> PRNGKeyArray:
    """The key of one stream, by name or code, at one step and sample, of a run's raw `key`."""
    stream = jax.random.wrap_key_data(key, impl="threefry2x32")
    for data in (stream_code(name) if isinstance(name, str) else name, step, sample):
        stream = jax.random.fold_in(stream, data)
    return stream


def addresses(
    key: KeyData,
    codes: Sequence[int | UInt32[Array, ""]],
    step: Int[Array, ""] | int = 0,
    sample: Int[Array, ""] | int = 0,
) -> Key[Array, " k"]:
    """The keys of several streams by code, each as `address` gives it.

    They are one computation, which compiles ten times as fast as one for each.
    """
    listed = jnp.stack([jnp.asarray(code, jnp.uint32) for code in codes])
    return jax.vmap(lambda code: address(key, code, step, sample))(listed)


def normal(key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent normal numbers of zero mean and unit variance, float32."""
    return jax.random.normal(key, (*rows, *shape), jnp.float32)


def sphere(key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Vectors uniform on the sphere of radius sqrt(dimension), float32.

    Their elements are uncorrelated, of zero mean and unit variance, so estimates along them are
    unbiased; unlike normal ones they all have the same length.
    """
    drawn, own = normal(key, rows, shape), tuple(range(len(rows), len(rows) + len(shape)))
    return drawn * lax.rsqrt(jnp.square(drawn).mean(own, keepdims=True))


def rademacher(
    key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Independent signs, -1 or 1 with equal chances, float32.

    32 signs come from each random word, put in place as the sign bit of 1.0: ten times cheaper
    than drawing a word for each.
    """
    whole = (*rows, *shape)
    lines, length = whole[:-1], whole[-1] if whole else 1
    words = jax.random.bits(key, (*lines, -(-length // 32)), jnp.uint32)
    shifts = jnp.arange(32, dtype=jnp.uint32).reshape(*[1] * words.ndim, 32)
    signs = (words[..., None] << shifts) & jnp.uint32(0x80000000)
    ones = lax.bitcast_convert_type(signs | jnp.uint32(0x3F800000), jnp.float32)
    return ones.reshape(*lines, -1)[..., :length].reshape(whole)


GUESSES: dict[str, Guess] = {
    "normal": Guess(normal, 3.0),
    "rademacher": Guess(rademacher, 1.0),
    "sphere": Guess(sphere, 1.0),
}
"""By `gradient.perturbation.guess.type`."""


def guess_of(name: str) -> Guess:
    """A row of `GUESSES`, or what an installed package adds under that name.

    Raises:
        UserError: the package's guess cannot be imported, or is no `Guess`.
    """
    if name in GUESSES:
        return GUESSES[name]
    found = plugins.load("fgspec.guesses", name, "guess")
    if not isinstance(found, Guess):
        raise UserError(f"the installed guess {name} is no compiler.noise.Guess; mend its package")
    return found
