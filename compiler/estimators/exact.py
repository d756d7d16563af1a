"""The gradient of a segment's losses in reverse mode: exact, or through backward weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate, Losses
from compiler.named_arrays.paths import flatten
from compiler.network.network import Trace
from compiler.plan.loops import written_out
from compiler.plan.passes import Part, through
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment, Site
from fgspec.spec import estimators
from fgspec.spec.kinds import working

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def exact(
    parts: Sequence[Part],
    sites: Sequence[Site],
    params: Params,
    x: Features,
    losses: Losses,
    feedback: Params | None = None,
    every: int | None = None,
    loops: bool = True,
) -> Estimate:
    """Reverse-mode gradient of the sum over the sites of the mean loss.

    Copies of a replicated loss are summed: their gradient is that of the one loss they are copies
    of.

    Args:
        parts: of the network, in order.
        sites: of the losses, each after a block whose features the pass leaves behind.
        params: of the parts, under `blocks` and `stacks`.
        x: the input of the first part.
        losses: of the sites.
        feedback: weights that errors travel through instead of the forward ones, in the structure
            of `params` (feedback alignment, Lillicrap et al. 2016); normalizations and activations
            stay exact.
        every: blocks between two stored inputs, see `compiler.plan.passes.through`.
        loops: whether equal units may be a loop.
    """

    def objective(params: Params) -> tuple[Float[Array, ""], Trace]:
        trace = through(parts, params, x, feedback=feedback, every=every, loops=loops)
        copies = [losses(site, trace.features[site.block]) for site in sites]
        means = [loss.sum() / loss.shape[0] for loss in copies]
        return sum(means[1:], means[0]), trace

    grads, trace = jax.grad(objective, has_aux=True)(params)
    return Estimate(grads, trace)


class _Reverse:
    """Reverse mode, through the backward weights if there are any."""

    def gradient(
        self, plan: Plan, segment: Segment, params: Params, x: Features, context: Context
    ) -> Estimate:
        """Through one segment, whose blocks are unrolled."""
        estimate = self._through((segment.blocks,), segment, {"blocks": params}, x, context)
        return estimate._replace(grads=estimate.grads["blocks"])

    def network_gradient(
        self, plan: Plan, params: Params, x: Features, context: Context
    ) -> Estimate:
        """Through the whole network at once where equal blocks are scanned, else by segment."""
        if not plan.stacks:
            return context.by_segment(plan, params, x, self.gradient)
        (segment,) = plan.segments
        return self._through(plan.parts(), segment, params, x, context)

    def _through(
        self,
        parts: Sequence[Part],
        segment: Segment,
        params: Params,
        x: Features,
        context: Context,
    ) -> Estimate:
        return exact(
            parts,
            segment.sites,
            params,
            x,
            context.losses,
            context.backward,
            every=context.plan.stored_every,
            loops=not (context.plan.stacks and written_out(context.plan)),
        )


class Exact(_Reverse, estimators.Exact):
    """The section with what it computes."""


class Feedback(_Reverse, estimators.Feedback):
    """The section with what it computes: errors go through the backward weights."""

    def backward_weights(self, plan: Plan) -> dict[str, Any]:
        """One for every forward weight, readouts included, in its shape; biases have none."""
        specs = flatten(plan.parameters())
        return {path: spec for path, spec in specs.items() if spec.role == "weight"}

    def seen_backward(self, drawn: Params, params: Params) -> Params:
        """The drawn weights, matched with the forward ones in the same place."""
        rule = working(self.weights)

        def matched(drawn: Params, params: Params) -> Params:
            return {
                name: matched(weights, params[name])
                if isinstance(weights, Mapping)
                else rule.matched(weights, params[name])
                for name, weights in drawn.items()
            }

        return matched(drawn, params)
