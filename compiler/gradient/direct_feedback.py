"""Direct feedback alignment: the output error sent to every layer (Nokland 2016)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.pull_back import firing, layerwise
from compiler.gradient.segment import Estimate, Segment
from compiler.network.network import forward, layers_in
from compiler.trees import flatten

OutputError = Callable[[Float[Array, "n p g c"]], Float[Array, "n k"]]
"""Features after the last block -> derivative of each example's final loss by the outputs."""


def direct_feedback(
    segment: Segment,
    params: Mapping[str, Any],
    x: Float[Array, "n p g c"],
    error: OutputError,
    feedback: Mapping[str, Any],
) -> Estimate:
    """What every layer learns from the output error through a fixed random matrix of its own.

    The matrix [k, p, g, c] stands in for everything between the layer's ReLU and the outputs; the
    ReLU and the normalization of the layer itself are exact.

    Args:
        segment: the whole network.
        params: by block, layer and name.
        x: its input.
        error: of the outputs, per example.
        feedback: the matrices by block and layer, under `w`.
    """
    trace = forward(segment.blocks, params, x)
    e = error(trace.output) / x.shape[0]
    matrices = flatten(feedback)
    estimates = {}
    for path, _ in layers_in(segment.blocks):
        sent = jnp.einsum("nk,kpgc->npgc", e, matrices[f"{path}/w"])
        estimates[path] = sent * firing(path, trace)
    return Estimate(layerwise(segment, params, trace, estimates, through_norm=True), trace)
