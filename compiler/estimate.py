"""One segment's gradient by the plan's estimator: a table row for each estimator."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Int

from compiler.gradient.direct_feedback import OutputError, direct_feedback
from compiler.gradient.exact import exact
from compiler.gradient.forward import SPACES, forward_gradient
from compiler.gradient.segment import Estimate, Losses, Noise, Segment, Site
from compiler.losses.objectives import OBJECTIVES
from compiler.losses.replicated import LOWERINGS
from compiler.network.feedback import KINDS
from compiler.noise import GUESSES, KeyData, address
from compiler.plan import Plan
from fgspec.spec.gradient import Feedback

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class Context(NamedTuple):
    """What the estimators read besides a segment, its weights and its input.

    Attributes:
        losses: copies of a site's loss from the features after its block.
        error: derivative of each example's final loss by the outputs.
        noise: perturbations by name, shape and sample.
        feedback: backward weights by block, layer and name; empty unless the estimator has them.
    """

    losses: Losses
    error: OutputError
    noise: Noise
    feedback: Params


def site_losses(plan: Plan, params: Params, feedback: Params, labels: Int[Array, " n"]) -> Losses:
    """The losses of a plan's sites.

    Args:
        plan: the plan.
        params: readouts under `heads` and `classifier`.
        feedback: backward weights of readouts in the same places; those absent have none.
        labels: of the examples.
    """
    objective = OBJECTIVES[plan.experiment.losses.objective.type]
    lowering = plan.experiment.compile.losses
    replicate = LOWERINGS["fused" if lowering == "auto" else lowering]

    def copies(site: Site, x: Features) -> Float[Array, "..."]:
        readout, back = plan.readout(site), _readout_of(feedback, site)

        def value(params: Params, features: Features) -> Float[Array, " n"]:
            return objective(readout.outputs(params, features, back)[0], labels)

        own, entering = _readout_of(params, site), readout.entering(x)
        if site.name == "final" or not readout.averages:
            return value(own, entering)
        flat = replicate(lambda params, mean: value(params, mean[:, None, None]), site.axes)
        return flat(own, entering)

    return copies


def _readout_of(tree: Params, site: Site) -> Any:
    return tree.get("classifier") if site.name == "final" else tree.get("heads", {}).get(site.name)


def _output_error(plan: Plan, params: Params, labels: Int[Array, " n"]) -> OutputError:
    objective = OBJECTIVES[plan.experiment.losses.objective.type]

    def error(x: Features) -> Float[Array, "n k"]:
        outputs, _ = plan.network.classifier.outputs(params["classifier"], x)
        return jax.grad(lambda outputs: objective(outputs, labels).sum())(outputs)

    return error


def drawn(plan: Plan, key: KeyData, step: Int[Array, ""]) -> Noise:
    """The perturbations of one step of a run; a plan without any never calls it."""
    perturbation = plan.experiment.gradient.perturbation

    def noise(name: str, shape: tuple[int, ...], sample: Any) -> Float[Array, "..."]:
        assert perturbation is not None
        rows = SPACES[perturbation.space].rows
        stream = address(key, f"perturbation/{name}", step, sample)
        return GUESSES[perturbation.guess.type](stream, shape[:rows], shape[rows:])

    return noise


def given(perturbations: Mapping[str, Float[Array, "..."]]) -> Noise:
    """Stored perturbations, each with a leading axis of samples."""
    return lambda name, shape, sample: perturbations[name][sample].reshape(shape)


def make_context(
    plan: Plan, params: Params, feedback: Params, labels: Int[Array, " n"], noise: Noise
) -> Context:
    """Everything the plan's estimator reads at one step.

    Args:
        plan: the plan.
        params: the whole state's.
        feedback: the whole state's backward weights, as drawn.
        labels: of the examples.
        noise: `drawn` or `given`.
    """
    backward = feedback
    if isinstance(plan.experiment.gradient.estimator, Feedback):
        kind = KINDS[plan.experiment.gradient.estimator.weights]
        backward = _matched(kind, feedback, params)
    losses = site_losses(plan, params, backward, labels)
    error = _output_error(plan, params, labels)
    return Context(losses, error, noise, backward.get("blocks", {}))


def _matched(kind: Callable[[Any, Any], Any], feedback: Params, params: Params) -> Params:
    """`kind` of every backward weight and the forward weight in the same place."""
    return {
        name: _matched(kind, drawn, params[name])
        if isinstance(drawn, Mapping)
        else kind(drawn, params[name])
        for name, drawn in feedback.items()
    }


Estimator = Callable[[Plan, Segment, Params, Features, Context], Estimate]


def _exact(plan: Plan, segment: Segment, params: Params, x: Features, context: Context) -> Estimate:
    return exact(segment, params, x, context.losses)


def _feedback(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    return exact(segment, params, x, context.losses, context.feedback)


def _direct_feedback(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    return direct_feedback(segment, params, x, context.error, context.feedback)


def _forward(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    assert plan.perturbing is not None
    perturbed = (plan.perturbed(segment), context.noise)
    return forward_gradient(segment, params, x, context.losses, plan.perturbing, perturbed)


ESTIMATORS: dict[str, Estimator] = {
    "exact": _exact,
    "forward": _forward,
    "feedback": _feedback,
    "direct_feedback": _direct_feedback,
}
"""By `gradient.estimator.type`."""


def estimate_segment(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    """The gradient of one segment's blocks by the plan's estimator.

    Args:
        plan: of the whole network.
        segment: one of its segments.
        params: of the whole network.
        x: the segment's input.
        context: see `make_context`.
    """
    own = {block.name: params["blocks"][block.name] for block in segment.blocks}
    return ESTIMATORS[plan.experiment.gradient.estimator.type](plan, segment, own, x, context)
