"""Reverse mode: the exact gradient of a segment's losses, or feedback alignment."""

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

    The copies of a replicated loss are summed: together they have the gradient of the one loss that
    they are copies of.

    Args:
        parts: the parts of the network, in order.
        sites: where the losses are. The pass must keep the features after each site's block.
        params: the parameters of the parts, under `blocks` and `stacks`.
        x: the input of the first part.
        losses: the copies of a site's loss, from its features.
        feedback: weights that errors travel through instead of the forward weights, in the
            structure of `params` (feedback alignment, Lillicrap et al. 2016). The derivatives of
            normalizations and activations stay exact.
        every: the number of blocks between two stored inputs, see `compiler.plan.passes.through`.
        loops: whether equal units may be compiled as a loop.
    """

    def objective(params: Params) -> tuple[Float[Array, ""], Trace]:
        trace = through(parts, params, x, feedback=feedback, every=every, loops=loops)
        copies = [losses(site, trace.features[site.block]) for site in sites]
        means = [loss.sum() / loss.shape[0] for loss in copies]
        return sum(means[1:], means[0]), trace

    grads, trace = jax.grad(objective, has_aux=True)(params)
    return Estimate(grads, trace)


class _Reverse:
    """Reverse mode; errors go through the backward weights if the plan has any."""

    def gradient(
        self, plan: Plan, segment: Segment, params: Params, x: Features, context: Context
    ) -> Estimate:
        """The gradient of one segment, whose blocks are compiled one by one."""
        estimate = self._through((segment.blocks,), segment, {"blocks": params}, x, context)
        return estimate._replace(grads=estimate.grads["blocks"])

    def network_gradient(
        self, plan: Plan, params: Params, x: Features, context: Context
    ) -> Estimate:
        """The gradient of the network: one pass where equal blocks are scanned, else by segment."""
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
    """The exact gradient, in reverse mode."""


class Feedback(_Reverse, estimators.Feedback):
    """Feedback alignment: reverse mode, with errors sent through backward weights."""

    def backward_weights(self, plan: Plan) -> dict[str, Any]:
        """One array for every forward weight, in its shape, readouts included; none for biases."""
        specs = flatten(plan.parameters())
        return {path: spec for path, spec in specs.items() if spec.role == "weight"}

    def seen_backward(self, drawn: Params, params: Params) -> Params:
        """The backward weights of this step: what was drawn, matched with the forward weights."""
        rule = working(self.weights)

        def matched(drawn: Params, params: Params) -> Params:
            return {
                name: matched(weights, params[name])
                if isinstance(weights, Mapping)
                else rule.matched(weights, params[name])
                for name, weights in drawn.items()
            }

        return matched(drawn, params)
