"""Initial parameters, each drawn from a stream named by its path."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from compiler.network.layers import ParamSpec
from compiler.noise import KeyData, address
from compiler.trees import flatten, unflatten

SCALES: dict[str, Callable[[int], float]] = {
    "kaiming": lambda fan_in: min(2 / fan_in**0.5, 0.1),
    "lecun": lambda fan_in: min(1 / fan_in**0.5, 0.1),
    "normal": lambda fan_in: 0.1,
}
"""Standard deviation of a weight by fan-in, by `architecture.initialization`."""


def initialize(
    specs: dict[str, Any], key: KeyData, scale: Callable[[int], float]
) -> dict[str, Any]:
    """Draw normal weights; biases and the whole classifier are zero.

    Args:
        specs: `ParamSpec` by nested names; a leaf named `b` is a bias.
        key: of the run.
        scale: standard deviation by fan-in.

    Returns:
        float32 arrays under the same names.
    """
    flat: dict[str, ParamSpec] = flatten(specs)
    drawn = {}
    for path, spec in flat.items():
        if path.endswith("/b") or path.startswith("classifier/"):
            drawn[path] = jnp.zeros(spec.shape, jnp.float32)
        else:
            noise = jax.random.normal(address(key, f"initial/{path}"), spec.shape, jnp.float32)
            drawn[path] = noise * scale(spec.fan_in)
    return unflatten(drawn)
