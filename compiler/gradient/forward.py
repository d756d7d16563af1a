"""The forward gradient: a directional derivative along a perturbation, times the perturbation.

One primal pass is linearized; every sample sends its tangent through the linear map and the
samples' estimates are summed before anything is pulled back to weights. Finite differences take
the place of the tangent where no derivative is to be had.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.axes import Axis, align, sum_to
from compiler.gradient.segment import Estimate, Losses, Noise, Segment, Site
from compiler.gradient.sets import SETS
from compiler.gradient.spaces import SPACES, Element, Passed, Perturbing
from compiler.network.block import in_block
from compiler.network.network import Trace

Tree = Mapping[str, Any]
Push = Callable[[Tree], Float[Array, "..."]]
"""A perturbation by name -> the derivative of every copy of the loss along it."""


def forward_gradient(
    segment: Segment,
    params: Tree,
    x: Float[Array, "n p g c"],
    losses: Losses,
    how: Perturbing,
    perturbed: tuple[dict[str, Element], Noise],
) -> Estimate:
    """Estimate the gradient of the segment's one loss (Ren et al. 2022, equations 2 and 3).

    For every perturbed array z with perturbation u the estimate is the sum of the derivatives of
    those copies of the loss that an element of z answers for, times u.

    Args:
        segment: with one site, at its end.
        params: of its blocks.
        x: its input.
        losses: copies of the site's loss.
        how: space, samples and lowering.
        perturbed: the arrays of `elements` and the noise that perturbs them.
    """
    (site,), (arrays, noise) = segment.sites, perturbed
    push, trace = _derivative(segment, params, x, losses, (how, arrays))
    draw = _directions(arrays, noise, how)

    def one(sample: Any) -> Tree:
        with jax.named_scope("perturbations"):
            u, partner = draw(sample)
        with jax.named_scope("tangents"):
            tangent = push(u)
        return {
            name: _credited(tangent, site.axes, element) * partner[name]
            for name, element in arrays.items()
        }

    space, total = SPACES[how.space], _sum_over_samples(one, how)
    masks = {name: space.mask(name, trace) for name in arrays}
    masked = {n: g if masks[n] is None else g * masks[n] for n, g in total.items()}
    passed = Passed(segment, params, x, trace)
    return Estimate(space.pull_back(passed, masked, how.through_norm), trace)


def _derivative(
    segment: Segment,
    params: Tree,
    x: Float[Array, "n p g c"],
    losses: Losses,
    moved: tuple[Perturbing, dict[str, Element]],
) -> tuple[Push, Trace]:
    """Derivatives of the copies along perturbations, and the unperturbed pass."""
    how, arrays = moved
    at_rest = {name: jnp.zeros(element.shape, jnp.float32) for name, element in arrays.items()}

    def run(by: Tree) -> Trace:
        return SPACES[how.space].run(segment.blocks, params, x, by)

    difference = _tangent if how.step is None else partial(_difference, step=how.step)
    return difference(run, at_rest, losses, segment.sites[0])


def _tangent(
    run: Callable[[Tree], Trace], at_rest: Tree, losses: Losses, site: Site
) -> tuple[Push, Trace]:
    """Derivatives in forward mode."""

    def copies(by: Tree) -> tuple[Float[Array, "..."], Trace]:
        trace = run(by)
        features = trace.features[site.block]
        return losses(site, features, None) / features.shape[0], trace

    _, push, trace = jax.linearize(copies, at_rest, has_aux=True)
    return push, trace


def _difference(
    run: Callable[[Tree], Trace], at_rest: Tree, losses: Losses, site: Site, step: float
) -> tuple[Push, Trace]:
    """(l(step u) - l(0)) / step for every copy, of which each sees its own features move only."""
    trace = run(at_rest)
    features = trace.features[site.block]
    start = losses(site, features, features)

    def push(u: Tree) -> Float[Array, "..."]:
        moved = run(jax.tree.map(lambda part: step * part, u)).features[site.block]
        return (losses(site, moved, features) - start) / (step * features.shape[0])

    return push, trace


def _directions(
    arrays: dict[str, Element], noise: Noise, how: Perturbing
) -> Callable[[Any], tuple[Tree, Tree]]:
    """Sample -> (direction, partner); drawn one by one where samples are independent."""

    def draw(sample: Any) -> Tree:
        found = {}
        for name, element in arrays.items():
            with in_block(name.split("/")[0]):
                found[name] = noise(name, element.shape, sample)
        return found

    def alone(sample: Any) -> tuple[Tree, Tree]:
        u = draw(sample)
        return u, u if how.samples == 1 else jax.tree.map(lambda part: part / how.samples, u)

    if how.set == "independent":
        return alone
    together = jax.vmap(draw)(jnp.arange(how.samples))
    both = SETS[how.set](together, SPACES[how.space].rows)
    return lambda sample: jax.tree.map(lambda part: part[sample], both)


def _credited(
    tangent: Float[Array, "..."], axes: tuple[Axis, ...], element: Element
) -> Float[Array, "..."]:
    """The copies' tangents, summed and shaped to multiply the element's perturbation."""
    kept: list[Axis] = [axis for axis in axes if axis in element.route]
    return align(sum_to(tangent, axes, kept), kept, element.axes)


def _sum_over_samples(one: Callable[[Any], Tree], how: Perturbing) -> Tree:
    if how.samples == 1:
        return one(0)
    samples = jnp.arange(how.samples)
    if how.vectorized:
        return jax.tree.map(lambda g: g.sum(0), jax.vmap(one)(samples))

    def add(total: Tree, sample: Any) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, one(sample)), None

    shapes = jax.eval_shape(one, samples[0])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return jax.lax.scan(add, zeros, samples)[0]
