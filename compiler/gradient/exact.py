"""The gradient of a segment's losses in reverse mode: exact, or through backward weights."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.gradient.segment import Estimate, Losses, Segment
from compiler.network.network import Trace, forward


def exact(
    segment: Segment,
    params: Mapping[str, Any],
    x: Float[Array, "n p g c"],
    losses: Losses,
    feedback: Mapping[str, Any] | None = None,
) -> Estimate:
    """Reverse-mode gradient of the sum over the sites of the mean loss.

    With `feedback`, by block, layer and name, errors travel through those weights instead of the
    forward ones (feedback alignment, Lillicrap et al. 2016); normalizations and ReLU stay exact.

    Summed over the copies of a replicated loss the gradient is that of the one loss they are
    copies of, so sites here are never replicated.
    """

    def objective(params: Mapping[str, Any]) -> tuple[Float[Array, ""], Trace]:
        trace = forward(segment.blocks, params, x, feedback=feedback)
        means = [losses(site, trace.features[site.block]).mean() for site in segment.sites]
        return sum(means[1:], means[0]), trace

    grads, trace = jax.grad(objective, has_aux=True)(params)
    return Estimate(grads, trace)
