"""The gradient of the blocks by the plan's estimator: a table row for each estimator."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from compiler.gradient.direct_feedback import Final, direct_feedback, learned_direct_feedback
from compiler.gradient.exact import exact
from compiler.gradient.forward import forward_gradient
from compiler.gradient.segment import TARGETS, Estimate, Losses, Noise, Segment
from compiler.gradient.spaces import SPACES, space_of
from compiler.guides import Source
from compiler.losses.sites import readout_of, site_losses
from compiler.network.block import in_block
from compiler.network.feedback import KINDS
from compiler.network.network import Trace
from compiler.noise import KeyData, addresses, guess_of, stream_code
from compiler.plan import Plan
from compiler.project import project
from compiler.sharding import constrained, noise_axes
from fgspec.spec.gradient import Feedback, LearnedDirectFeedback

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class Clock(NamedTuple):
    """What randomness is addressed by, and the perturbations.

    Attributes:
        key: raw key of the run.
        step: of the run.
        noise: `drawn` or `given`.
    """

    key: KeyData
    step: Int[Array, ""]
    noise: Noise


class Context(NamedTuple):
    """What the estimators read besides a segment, its weights and its input.

    Attributes:
        losses: copies of a site's loss from the features after its block.
        final: what follows the last block.
        noise: perturbations by name, shape and sample.
        feedback: backward weights by block, layer and name; empty unless the estimator has them.
        source: of guesses made from the network.
    """

    losses: Losses
    final: Final
    noise: Noise
    feedback: Params
    source: Source


def _final(plan: Plan, params: Params, labels: Int[Array, " n"]) -> Final:
    site, objective = plan.units[-1][1], plan.objective
    readout, own = plan.readout(site), readout_of(params, plan.place(site))
    return Final(
        outputs=lambda x: readout.outputs(own, x)[0],
        error=jax.grad(lambda outputs: objective.value(outputs, labels).sum()),
    )


def drawn(
    plan: Plan, key: KeyData, step: Int[Array, ""], codes: Mapping[str, Any] | None = None
) -> Noise:
    """The perturbations of one step of a run; normal ones where the spec does not say.

    Where views share them, those of the first view are repeated in the others. `codes` are those
    of the streams by name, where names are those of a stack's template.
    """
    perturbation = plan.experiment.gradient.perturbation
    rows, times, kind = 1, 1, "normal"
    if perturbation is not None:
        rows = SPACES[space_of(perturbation)].rows
        times = plan.objective.views if perturbation.sharing == "views" else 1
        kind = kind if perturbation.learned else perturbation.guess.type

    def one(name: str, stream: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        counted = tuple(size // times for size in shape[:rows])
        once = guess_of(kind).draw(stream, counted, shape[rows:])
        drawn = jnp.tile(once, (times, *[1] * (len(shape) - 1)))
        return constrained(plan, drawn, noise_axes(plan, name, shape))

    def noise(shapes: Mapping[str, tuple[int, ...]], sample: Any) -> dict[str, Any]:
        own = [stream_code(f"perturbation/{n}") if codes is None else codes[n] for n in shapes]
        streams = addresses(key, own, step, sample)
        found = {}
        for (name, shape), stream in zip(shapes.items(), streams, strict=True):
            with in_block(name.split("/")[0]):
                found[name] = one(name, stream, shape)
        return found

    return noise


def given(perturbations: Mapping[str, Float[Array, "..."]]) -> Noise:
    """Stored perturbations, each with a leading axis of samples."""
    return lambda shapes, sample: {
        name: perturbations[name][sample].reshape(shape) for name, shape in shapes.items()
    }


def make_context(
    plan: Plan, params: Params, feedback: Params, labels: Int[Array, " n"], clock: Clock
) -> Context:
    """Everything the plan's estimator reads at one step.

    Args:
        plan: the plan.
        params: the whole state's.
        feedback: the whole state's backward weights, as drawn.
        labels: of the examples.
        clock: the step and its noise.
    """
    backward = matched(plan, feedback, params)
    losses = site_losses(plan, params, backward, labels)
    final = _final(plan, params, labels)
    source = Source(plan, params, labels, *clock)
    return Context(losses, final, clock.noise, backward.get("blocks", {}), source)


def matched(plan: Plan, feedback: Params, params: Params) -> Params:
    """The backward weights that errors travel through, from those drawn and the forward ones."""
    estimator = plan.experiment.gradient.estimator
    if not isinstance(estimator, Feedback):
        return feedback
    return _matched(KINDS[estimator.weights], feedback, params)


def _matched(kind: Callable[[Any, Any], Any], feedback: Params, params: Params) -> Params:
    """`kind` of every backward weight and the forward weight in the same place."""
    return {
        name: _matched(kind, drawn, params[name])
        if isinstance(drawn, Mapping)
        else kind(drawn, params[name])
        for name, drawn in feedback.items()
    }


SegmentEstimator = Callable[[Plan, Segment, Params, Features, Context], Estimate]
Estimator = Callable[[Plan, Params, Features, Context], Estimate]


def _exact(plan: Plan, segment: Segment, params: Params, x: Features, context: Context) -> Estimate:
    return exact(segment, params, x, context.losses, every=stored(plan))


def _feedback(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    return exact(segment, params, x, context.losses, context.feedback, stored(plan))


def stored(plan: Plan) -> int | None:
    """Blocks between two stored inputs of a reverse pass."""
    every = plan.experiment.compile.rematerialize
    return None if isinstance(every, str) else every


def _direct_feedback(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    return direct_feedback(segment, params, x, context.final, context.feedback)


def _learned_direct_feedback(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    estimator = plan.experiment.gradient.estimator
    assert isinstance(estimator, LearnedDirectFeedback)
    learned = (context.feedback, context.noise, estimator.momentum)
    return learned_direct_feedback(plan.segments[0], params, x, context.final, learned)


def _joint(plan: Plan, segment: Segment, params: Params, x: Features, context: Context) -> Estimate:
    assert plan.perturbing is not None
    perturbed = (plan.perturbed(segment), context.noise)
    return forward_gradient(segment, params, x, context.losses, plan.perturbing, perturbed)


def segment_by_segment(one: SegmentEstimator) -> Estimator:
    """An estimator of the whole network from one of a segment; where they overlap, they add up."""

    def whole(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
        grads: dict[str, Any] = {}
        features: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for segment in plan.segments:
            own = {block.name: params[block.name] for block in segment.blocks}
            entering = plan.inputs(features, x)[segment.blocks[0].name]
            found = one(plan, segment, own, entering, context)
            for name, grad in found.grads.items():
                grads[name] = jax.tree.map(jnp.add, grads[name], grad) if name in grads else grad
            stopped = jax.lax.stop_gradient(found.trace)
            features |= stopped.features
            layers |= stopped.layers
        return Estimate(grads, Trace(features[plan.network.blocks[-1].name], features, layers))

    return whole


def _forward(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    if plan.projecting is None:
        return segment_by_segment(_joint)(plan, params, x, context)
    return project(plan.projecting, params, x, context.losses, context.source)


SEGMENT_ESTIMATORS: dict[str, SegmentEstimator] = {
    "exact": _exact,
    "forward": _joint,
    "finite_difference": _joint,
    "feedback": _feedback,
    "direct_feedback": _direct_feedback,
}
"""Of one segment, by `gradient.estimator.type`."""

ESTIMATORS: dict[str, Estimator] = {
    name: segment_by_segment(one) for name, one in SEGMENT_ESTIMATORS.items()
} | {"forward": _forward, "learned_direct_feedback": _learned_direct_feedback}
"""Of the whole network, by `gradient.estimator.type`."""


def estimate(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    """The gradient of all blocks by the plan's estimator, and the unperturbed forward pass.

    Args:
        plan: the plan.
        params: of the whole network.
        x: the network's input.
        context: see `make_context`.
    """
    kind = plan.experiment.gradient.estimator.type
    return ESTIMATORS[kind](plan, params["blocks"], x, context)


def target_gradient(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    """The exact gradient of the plan's target, whatever its estimator.

    Args:
        plan: the plan.
        params: of the whole network.
        x: the network's input.
        context: without backward weights.
    """
    segments = tuple(TARGETS[plan.experiment.gradient.target](plan.units))
    return segment_by_segment(_exact)(
        replace(plan, segments=segments), params["blocks"], x, context
    )
