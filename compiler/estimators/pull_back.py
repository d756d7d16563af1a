"""From estimates at activations to gradients of weights, one layer or one block at a time."""

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
    """The derivative of a layer's activation function, at its pre-activations; 0 or 1 for ReLU."""
    layer = trace.layers[path]
    return layer.derivative.astype(precise_type(layer.input))


def silencing(path: str, trace: Trace) -> Float[Array, "n p g c"] | None:
    """0 where a layer's activation function has derivative 0, else 1; None if it is not like ReLU.

    A slope along noise at a pre-activation contains the activation's derivative already, so the
    estimate must not be multiplied by it again. But where the derivative is 0 the true gradient is
    0 and the estimate is pure noise. Setting it to 0 pays only for activations whose derivative is
    0 or 1, because others are 0 almost nowhere.
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
    """Gradients of weights from estimates at pre-activations, through each layer by itself.

    Args:
        segment: a chain of blocks.
        params: parameters by block, layer and name.
        trace: the forward pass.
        estimates: gradients with respect to pre-activations, by `block/layer`.
        through_norm: whether to differentiate the normalization after the linear map. If not, its
            derivative is taken to be 1 (Ren et al. 2022, table 5).

    Returns:
        Gradients of the mean loss by block, layer and name, in the shapes of `params`.
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
    """Gradients of weights from estimates at the outputs of blocks, through each block by itself.

    Args:
        segment: a chain of blocks.
        params: parameters by block, layer and name.
        x: the input of the first block.
        trace: the forward pass.
        estimates: gradients with respect to the outputs of blocks, by block.

    Returns:
        Gradients of the mean loss by block, layer and name, in the shapes of `params`.
    """
    grads: dict[str, Any] = {}
    for block in segment.blocks:

        def run(block_params: Any, block: Any = block, x: Any = x) -> Float[Array, "n p g c"]:
            return forward((block,), {block.name: block_params}, x).output

        out, pull = jax.vjp(run, params[block.name])
        (grads[block.name],) = pull(estimates[block.name].astype(out.dtype))
        x = trace.features[block.name]
    return grads
