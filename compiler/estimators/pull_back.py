"""From estimates at pre-activations to gradients of weights, one layer at a time."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.named_arrays.precision import precise_type
from compiler.network.block import in_block
from compiler.network.layers import pre_activation
from compiler.network.network import Trace, forward, layers_in
from compiler.plan.segment import Segment


def firing(path: str, trace: Trace) -> Float[Array, "n p g c"]:
    """The derivative of the activation of a layer; 1 or 0 for a ReLU."""
    layer = trace.layers[path]
    return layer.derivative.astype(precise_type(layer.input))


def silencing(path: str, trace: Trace) -> Float[Array, "n p g c"] | None:
    """0 where the activation of a layer stops every derivative, else 1; None if it never does.

    An estimate at a pre-activation has the derivative in it already. All that is left to do is to
    take noise from units whose true derivative is 0, which only a binary activation has many of.
    """
    derivative = trace.layers[path].derivative
    return firing(path, trace) if derivative.dtype == bool else None


@jax.named_scope("pull-back")
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
    grads: dict[str, Any] = {block.name: {} for block in segment.blocks}
    for path, layer in layers_in(segment.blocks):
        block, name = path.split("/")
        apply = partial(
            pre_activation, layer, x=trace.layers[path].input, through_norm=through_norm
        )
        with in_block(block):
            z, pull = jax.vjp(apply, params[block][name])
            (grads[block][name],) = pull(estimates[path].astype(z.dtype))
    return grads


@jax.named_scope("pull-back")
def blockwise(
    segment: Segment,
    params: Mapping[str, Any],
    x: Float[Array, "n p g c"],
    trace: Trace,
    estimates: Mapping[str, Float[Array, "..."]],
) -> dict[str, Any]:
    """Pull the estimate at each block's output back through that block alone.

    Args:
        segment: a chain of blocks.
        params: by block, layer and name.
        x: input of the first block.
        trace: of the forward pass.
        estimates: gradients with respect to the outputs of blocks, by block.
    """
    grads: dict[str, Any] = {}
    for block in segment.blocks:

        def run(block_params: Any, block: Any = block, x: Any = x) -> Float[Array, "n p g c"]:
            return forward((block,), {block.name: block_params}, x).output

        out, pull = jax.vjp(run, params[block.name])
        (grads[block.name],) = pull(estimates[block.name].astype(out.dtype))
        x = trace.features[block.name]
    return grads
