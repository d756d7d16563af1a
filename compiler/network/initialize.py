"""Initial parameters, each drawn from a random stream named by its path."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import KeyData, addresses, stream_code
from compiler.network.network import Drawn
from fgspec.spec.initializations import Initialization
from fgspec.spec.shapes import ParamSpec


def initialize(
    specs: dict[str, Any],
    key: KeyData,
    how: Initialization,
    stream: str = "initial",
    all_drawn: bool = False,
    drawn: Drawn | None = None,
) -> dict[str, Any]:
    """Draw weights and embeddings; biases and scales are constants, shifts and averages are zero.

    Args:
        specs: a `ParamSpec` for each parameter, in nested dictionaries.
        key: the raw random key of the run.
        how: the initialization.
        stream: the start of the name of each random stream; the path follows.
        all_drawn: whether to draw the classifier even if the initialization sets it to zero.
        drawn: computes the parameters that are not initialized here, such as those of a module in
            another framework.

    Returns:
        float32 arrays in the same nested dictionaries.
    """
    flat: dict[str, ParamSpec] = flatten(specs)
    constant = {"bias": how.bias, "scale": 1.0, "shift": 0.0, "average": 0.0}
    given = drawn(key) if drawn is not None else {}
    params, weights = {path: given[path] for path in flat if path in given}, dict[str, ParamSpec]()
    classifier_drawn = all_drawn or how.draws_classifier
    for path, spec in flat.items():
        if path in params:
            continue
        zero = path.startswith("classifier/") and not classifier_drawn and spec.role != "scale"
        if zero or spec.role in constant:
            value = 0.0 if zero else constant[spec.role]
            params[path] = jnp.full(spec.shape, value, jnp.float32)
        else:
            weights[path] = spec
    params |= _drawn(weights, key, how, stream) if weights else {}
    return unflatten({path: params[path] for path in flat})


def _drawn(
    specs: dict[str, ParamSpec], key: KeyData, how: Initialization, stream: str
) -> dict[str, Float[Array, "..."]]:
    """Weights by path; those of one shape are drawn together, so that they compile once."""
    keys = addresses(key, [stream_code(f"{stream}/{path}") for path in specs])
    same_shape: dict[tuple[tuple[int, ...], int], dict[str, int]] = {}
    for index, (path, spec) in enumerate(specs.items()):
        same_shape.setdefault((spec.shape, spec.fan_in), {})[path] = index
    params: dict[str, Any] = {}
    for (shape, fan_in), positions in same_shape.items():
        draw = partial(_weight, how, shape, fan_in)
        stacked = jax.vmap(draw)(keys[jnp.asarray(list(positions.values()))])
        params |= {path: stacked[row] for row, path in enumerate(positions)}
    return params


def _weight(
    how: Initialization, shape: tuple[int, ...], fan_in: int, key: PRNGKeyArray
) -> Float[Array, "..."]:
    return how.weight(key, shape, fan_in)
