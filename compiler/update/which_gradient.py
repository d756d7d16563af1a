"""Which gradient an update takes: that of its phase, and of that the estimate or the exact one.

A choice is a conditional by the number of the update inside the compiled program. So calls of many
updates, loops over blocks, pipelines and meshes need not know of it, and a run that is resumed
takes the same branch. Where a backend is slow inside of conditionals (`compiler.plan.loops`), the
host chooses between programs of plans whose choice is `fixed`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.estimators.context import Context, Estimate, make_context
from compiler.named_arrays.paths import flatten, unflatten
from compiler.network.layers import LayerTrace
from compiler.network.network import Trace
from compiler.plan.choices import in_turn, one_in
from compiler.plan.plan import KEPT, Plan
from compiler.plan.segment import Segment
from fgspec.spec.estimators import Exact
from fgspec.spec.kinds import working

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def network_estimate(
    plan: Plan,
    params: Params,
    x: Features,
    step: Int[Array, ""],
    feedback: Params,
    context_of: Callable[[Plan, Params], Context],
) -> Estimate:
    """The gradient of the whole network at one update.

    Args:
        plan: the plan.
        params: the parameters of all blocks, as for `Estimator.network_gradient`.
        x: the network's input.
        step: the number of updates done so far.
        feedback: the backward weights of the state; by estimator, if the plan has phases.
        context_of: the plan of a phase and its backward weights -> the step, as its estimator sees
            it.

    Returns:
        The estimate. Its `feedback` are the new backward weights of the state, in the structure of
        `feedback`, if any learn.
    """

    def of(phase: Plan, own: Params) -> Estimate:
        context = context_of(phase, own)
        return _alternating(
            phase,
            context,
            partial(exact_of_target, phase, params, x, context),
            lambda: phase.estimator.network_gradient(phase, params, x, context),
        )

    if not plan.phases:
        estimate = of(plan, feedback)
        return estimate._replace(feedback=_moved(plan, feedback, estimate))
    learning = {phase.slot for _, phase in plan.phases if phase.learns_feedback}

    def branch(phase: Plan) -> Estimate:
        own = feedback.get(phase.slot, {})
        estimate = _kept(phase, own.get("blocks", {}), of(phase, own))
        moved = {slot: feedback[slot] for slot in learning}
        new = _moved(phase, own, estimate)
        if new is not None:
            moved[phase.slot] = new
        return estimate._replace(feedback=moved)

    if plan.fixed is not None:
        estimate = branch(plan.phases[plan.fixed[0]][1])
    else:
        spans, phases = zip(*plan.phases, strict=True)
        estimate = in_turn(spans, step, [partial(branch, phase) for phase in phases])
    new = {**feedback, **(estimate.feedback or {})} if learning else None
    return estimate._replace(feedback=new)


def _moved(plan: Plan, feedback: Params, estimate: Estimate) -> dict[str, Any] | None:
    """What a run keeps besides parameters after an update; None if an update changes none of it.

    Args:
        plan: the plan, or that of a phase.
        feedback: what it keeps before the update, see `Plan.feedback`.
        estimate: the gradient of the update, with the new backward weights of the blocks.
    """
    if not plan.learns_feedback:
        return None
    new = dict(feedback)
    if estimate.feedback is not None:
        new["blocks"] = estimate.feedback
    if KEPT in feedback and plan.perturbation is not None:
        samples = working(plan.perturbation.guess.set)
        kept, grads = flatten(feedback[KEPT]), flatten(estimate.grads["blocks"])
        new[KEPT] = unflatten(samples.next_kept(kept, grads))
    return new


def unit_estimate(
    plan: Plan, segment: Segment, params: Params, x: Features, context: Context
) -> Estimate:
    """The gradient of one unit from its own loss at one update; see `Estimator.gradient`."""
    return _alternating(
        plan,
        context,
        lambda: working(Exact()).gradient(plan, segment, params, x, _true(context)),
        lambda: plan.estimator.gradient(plan, segment, params, x, context),
    )


def exact_of_target(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    """The exact gradient of the plan's target, whatever the plan's estimator is.

    Args:
        plan: the plan.
        params: the parameters of all blocks, as for `Estimator.network_gradient`.
        x: the network's input.
        context: the step; its backward weights are not used.
    """
    segments = tuple(plan.target.segments(plan.units))
    whole = replace(plan, segments=segments)
    return working(Exact()).network_gradient(whole, params, x, _true(context))


def _true(context: Context) -> Context:
    """The same step without backward weights: errors travel through the forward ones."""
    row = (context.targets, context.key, context.step, context.noise)
    return make_context(context.plan, context.params, {}, *row)


def _alternating(
    plan: Plan,
    context: Context,
    exact: Callable[[], Estimate],
    estimated: Callable[[], Estimate],
) -> Estimate:
    """The exact gradient at every so many updates, if the plan says so, else the estimate."""
    every = plan.experiment.gradient.exact_every
    if every is None:
        return estimated()
    kept = partial(_kept, plan, context.feedback)
    if plan.fixed is not None:
        return kept(exact() if plan.fixed[1] else estimated())
    return one_in(every, context.step, lambda: kept(exact()), lambda: kept(estimated()))


def _kept(plan: Plan, feedback: Params, estimate: Estimate) -> Estimate:
    """What an update reads of an estimate; a conditional stores all that it returns.

    Args:
        plan: the plan.
        feedback: the backward weights of the blocks before the update. Those that learn rest at an
            exact update, as nothing is estimated at it.
        estimate: the estimate.
    """
    read, trace = {site.block for site in plan.headed_sites()}, estimate.trace
    features = {name: array for name, array in trace.features.items() if name in read}
    nothing = jnp.zeros((0, 0, 0, 0))
    layers = {
        path: LayerTrace(nothing, nothing, layer.moments) for path, layer in trace.layers.items()
    }
    moved = None
    if plan.estimator.learns_backward:
        moved = feedback if estimate.feedback is None else estimate.feedback
    return Estimate(estimate.grads, Trace(trace.output, features, layers), moved)
