"""From estimates at pre-activations to gradients of weights, one layer at a time."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.segment import Segment
from compiler.network.layers import pre_activation
from compiler.network.network import Trace, layer_path


def firing(path: str, trace: Trace) -> Float[Array, "n p g c"]:
    """1 where the ReLU of a layer let its input through, else 0."""
    return trace.layers[path].active.astype(jnp.float32)


def layerwise(
    segment: Segment,
    params: Mapping[str, Any],
    trace: Trace,
    estimates: Mapping[str, Float[Array, "n p g c"]],
    through_norm: bool,
) -> dict[str, Any]:
    """Pull each layer's estimate back to its own weights, at its own input.

    Args:
        segment: a chain of blocks.
        params: by block, layer and name.
        trace: of the forward pass.
        estimates: gradients with respect to pre-activations, by `block/layer`.
        through_norm: whether they stand behind the normalization after the linear map.
    """
    grads: dict[str, Any] = {}
    for block in segment.blocks:
        grads[block.name] = {}
        for layer in block.layers:
            path = layer_path(block, layer)
            taken = trace.layers[path].input
            apply = partial(pre_activation, layer, x=taken, through_norm=through_norm)
            _, pull = jax.vjp(apply, params[block.name][layer.name])
            (grads[block.name][layer.name],) = pull(estimates[path])
    return grads
