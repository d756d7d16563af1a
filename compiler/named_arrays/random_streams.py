"""Randomness addressed by name, step and sample: never threaded, the same on every mesh."""

import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PRNGKeyArray, UInt32

from compiler.named_arrays.threefry import THREEFRY

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
    stream = jax.random.wrap_key_data(key, impl=THREEFRY)
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
