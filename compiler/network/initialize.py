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


def starts_at_zero(path: str) -> bool:
    """Whether a parameter starts at zero: biases and the whole classifier."""
    return path.endswith("/b") or path.startswith("classifier/")


def initialize(
    specs: dict[str, Any],
    key: KeyData,
    scale: Callable[[int], float],
    stream: str = "initial",
    zero: Callable[[str], bool] = starts_at_zero,
) -> dict[str, Any]:
    """Draw normal weights.

    Args:
        specs: `ParamSpec` by nested names.
        key: of the run.
        scale: standard deviation by fan-in.
        stream: begins the name of each leaf's stream.
        zero: which leaves are zero instead, by path.

    Returns:
        float32 arrays under the same names.
    """
    flat: dict[str, ParamSpec] = flatten(specs)
    drawn = {}
    for path, spec in flat.items():
        if zero(path):
            drawn[path] = jnp.zeros(spec.shape, jnp.float32)
        else:
            noise = jax.random.normal(address(key, f"{stream}/{path}"), spec.shape, jnp.float32)
            drawn[path] = noise * scale(spec.fan_in)
    return unflatten(drawn)
