"""Random keys addressed by name, step and sample, so that no key is passed along.

A draw depends on nothing but its address and the seed. It is the same on every mesh, and a new draw
elsewhere does not change it.
"""

import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PRNGKeyArray, UInt32

from compiler.named_arrays.threefry import THREEFRY

KeyData = UInt32[Array, "2"]


def key_data(seed: int) -> KeyData:
    """The raw threefry key of a seed, uint32 [2], as the state of a run holds it."""
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


def stream_code(name: str) -> int:
    """The 32-bit code that stands for a stream's name in its keys."""
    return zlib.crc32(name.encode())


def address(
    key: KeyData,
    name: str | UInt32[Array, ""],
    step: Int[Array, ""] | int = 0,
    sample: Int[Array, ""] | int = 0,
) -> PRNGKeyArray:
    """The key of one stream, at one step and sample.

    Args:
        key: the raw key of the run.
        name: the name of the stream, or its code.
        step: the number of updates done so far.
        sample: the index of the sample within the step.
    """
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
    """The keys of several streams, each as `address` computes it.

    They are computed together, because that compiles ten times as fast as one by one.
    """
    listed = jnp.stack([jnp.asarray(code, jnp.uint32) for code in codes])
    return jax.vmap(lambda code: address(key, code, step, sample))(listed)
