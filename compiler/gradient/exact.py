"""The gradient of a segment's losses in reverse mode: exact, or through backward weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.gradient.segment import Estimate, Losses, Segment
from compiler.network.block import Block
from compiler.network.network import Trace, forward

Params = Mapping[str, Any]


def exact(
    segment: Segment,
    params: Params,
    x: Float[Array, "n p g c"],
    losses: Losses,
    feedback: Params | None = None,
    every: int | None = None,
) -> Estimate:
    """Reverse-mode gradient of the sum over the sites of the mean loss.

    Copies of a replicated loss are summed: their gradient is that of the one loss they are copies
    of.

    Args:
        segment: a chain of blocks.
        params: of its blocks.
        x: its input.
        losses: of its sites.
        feedback: weights by block, layer and name that errors travel through instead of the forward
            ones (feedback alignment, Lillicrap et al. 2016); normalizations and ReLU stay exact.
        every: blocks between two stored inputs; what is inside is computed again on the way back.
            None stores all.
    """

    def objective(params: Params) -> tuple[Float[Array, ""], Trace]:
        run = partial(forward, feedback=feedback)
        trace = _rematerialized(run, segment.blocks, params, x, every or len(segment.blocks))
        copies = [losses(site, trace.features[site.block]) for site in segment.sites]
        means = [of_one.sum() / of_one.shape[0] for of_one in copies]
        return sum(means[1:], means[0]), trace

    grads, trace = jax.grad(objective, has_aux=True)(params)
    return Estimate(grads, trace)


def _rematerialized(
    run: Callable[..., Trace], blocks: tuple[Block, ...], params: Params, x: Any, every: int
) -> Trace:
    """`run` chunk by chunk, of which all but a lone one leave only their input behind."""
    chunks = [blocks[start : start + every] for start in range(0, len(blocks), every)]
    total = Trace(x, {}, {})
    for chunk in chunks:
        one = partial(run, chunk)
        own = {block.name: params[block.name] for block in chunk}
        found = (jax.checkpoint(one) if len(chunks) > 1 else one)(own, total.output)
        total = Trace(found.output, total.features | found.features, total.layers | found.layers)
    return total
