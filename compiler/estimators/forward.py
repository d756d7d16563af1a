"""Forward gradients: directional derivatives, times the directions they were taken along.

Every estimate here is

    g = P + sum over k of c_k <T - P, u_k> v_k

with the target's gradient T, K directions u_k, their partners v_k (u_k / K if directions are
independent), a prediction P of the target (0 without a control variate), and a coefficient c_k (1
unless the spec asks for a projection). `forward_gradient` computes this line. The estimates differ
in how the slopes <T - P, u_k> are computed and in what has a slope of its own:

* Noise that perturbs a whole segment at once gives one slope for every copy of the loss. The
  estimate for an element of a perturbed array uses the slopes of the copies that depend on that
  element (Ren et al. 2022, equations 2 and 3). This is `along_noise`.
* Guesses with a separate slope for every group of tensors are projections (Fournier et al. 2023),
  see `compiler.estimators.projecting`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate
from compiler.estimators.formula import forward_gradient, one_by_one
from compiler.estimators.joint_derivatives import (
    Derivative,
    Slopes,
    difference,
    inner_product,
    tangent,
)
from compiler.estimators.projecting import project
from compiler.estimators.spaces import Passed
from compiler.named_arrays.axes import Axis, align, sum_to
from compiler.named_arrays.precision import precise_type
from compiler.network.network import Trace
from compiler.plan.element import Element
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from fgspec.spec import estimators
from fgspec.spec.kinds import working

Tree = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def along_noise(
    plan: Plan,
    segment: Segment,
    params: Tree,
    x: Features,
    context: Context,
    derivative: Derivative,
) -> Estimate:
    """Estimate the gradient of a segment's one loss, with noise on all perturbed arrays at once.

    For every perturbed array z with perturbation u, the estimate is u times a sum of slopes: those
    of the copies of the loss that the spec's `credit` gives to that element of z.

    Args:
        plan: the plan.
        segment: the segment; it has one site, at its end.
        params: the parameters of its blocks.
        x: its input.
        context: the step.
        derivative: how slopes are computed: by tangents, an inner product or a difference.
    """
    (site,), perturbation, space = segment.sites, plan.perturbation, plan.space
    assert perturbation is not None
    elements = plan.perturbed(segment)
    noise_shapes = {name: element.shape for name, element in elements.items()}
    # Reverse mode needs an array for every row, even where all rows share the same noise.
    shapes = space.shapes(segment, len(x)) if plan.reverse_derivatives else noise_shapes

    def run(by: Tree) -> Trace:
        return space.run(segment.blocks, params, x, by)

    zeros = {name: jnp.zeros(shape, precise_type(x)) for name, shape in shapes.items()}
    slopes, trace = derivative(run, zeros, context.losses, site, space)

    def times(along: Slopes, partner: Tree) -> Tree:
        return {
            name: _credited(along, element) * partner[name] for name, element in elements.items()
        }

    total = forward_gradient(
        directions=_directions(plan, noise_shapes, context),
        slopes=lambda u, sample: slopes(u),
        times=times,
        samples=perturbation.samples,
        redrawn=plan.experiment.compile.noise == "drawn",
    )
    masks = {name: space.mask(name, trace) for name in elements}
    masked = {
        name: estimate if masks[name] is None else estimate * masks[name]
        for name, estimate in total.items()
    }
    through_norm = plan.experiment.architecture.ignored_norm() is None
    passed = Passed(segment, params, x, trace)
    return Estimate(space.pull_back(passed, masked, through_norm), trace)


def _credited(along: Slopes, element: Element) -> Float[Array, "..."]:
    """The slopes of the copies that the element uses, summed and shaped to multiply its noise."""
    kept: list[Axis] = [axis for axis in along.axes if axis in element.route]
    return align(sum_to(along.values, along.axes, kept), kept, element.axes)


def _directions(
    plan: Plan, shapes: Mapping[str, tuple[int, ...]], context: Context
) -> Callable[[Any], tuple[Tree, Tree]]:
    """Sample index -> (direction, partner); all samples are drawn at once if they depend."""
    perturbation = plan.perturbation
    assert perturbation is not None
    draw = partial(context.noise, shapes)
    if perturbation.guess.set.drawn_alone:
        return one_by_one(draw, perturbation.samples)
    together = jax.vmap(draw)(jnp.arange(perturbation.samples))
    kept = {name: array for name, array in context.kept.items() if name in shapes}
    pairs = working(perturbation.guess.set).spread_around(together, plan.space.rows, kept)
    return lambda sample: jax.tree.map(lambda array: array[sample], pairs)


class Forward(estimators.Forward):
    """Directional derivatives along noise or guesses, without error."""

    def network_gradient(self, plan: Plan, params: Tree, x: Features, context: Context) -> Estimate:
        """Projections treat all blocks at once; plain noise goes segment by segment."""
        if plan.projects:
            return project(plan, params["blocks"], x, context)
        return context.by_segment(plan, params, x, self.gradient)

    def gradient(
        self, plan: Plan, segment: Segment, params: Tree, x: Features, context: Context
    ) -> Estimate:
        """Along noise: by tangents, or by inner products with one reverse-mode gradient."""
        derivative = inner_product if plan.reverse_derivatives else tangent
        return along_noise(plan, segment, params, x, context, derivative)


class FiniteDifference(estimators.FiniteDifference):
    """Directional derivatives along noise, as finite differences of two forward passes."""

    def gradient(
        self, plan: Plan, segment: Segment, params: Tree, x: Features, context: Context
    ) -> Estimate:
        """Along noise, by finite differences of step `epsilon`."""
        return along_noise(plan, segment, params, x, context, difference(self.epsilon))
