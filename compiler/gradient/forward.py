"""The forward gradient: a directional derivative along a perturbation, times the perturbation.

One primal pass gives the derivatives along all samples (`compiler.gradient.directional`), and their
estimates are summed before anything is pulled back to weights.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.axes import Axis, align, sum_to
from compiler.gradient.directional import DERIVATIVES
from compiler.gradient.segment import Estimate, Losses, Noise, Segment
from compiler.gradient.sets import SETS
from compiler.gradient.spaces import SPACES, Element, Passed, Perturbing
from compiler.network.network import Trace

Tree = Mapping[str, Any]


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
    space = SPACES[how.space]
    shapes = space.shapes(segment, len(x)) if how.derivative == "reverse" else _shapes(arrays)

    def run(by: Tree) -> Trace:
        return space.run(segment.blocks, params, x, by)

    at_rest = {name: jnp.zeros(shape, jnp.float32) for name, shape in shapes.items()}
    push, trace = DERIVATIVES[how.derivative](run, at_rest, losses, site, how)
    draw = _directions(_shapes(arrays), noise, how)

    def one(sample: Any) -> Tree:
        with jax.named_scope("perturbations"):
            u, partner = draw(sample)
        with jax.named_scope("tangents"):
            along, axes = push(u)
        if how.redrawn:
            with jax.named_scope("perturbations"):
                partner = draw(_once_known(sample, along))[1]
        return {
            name: _credited(along, axes, element) * partner[name]
            for name, element in arrays.items()
        }

    total = _sum_over_samples(one, how)
    masks = {name: space.mask(name, trace) for name in arrays}
    masked = {n: g if masks[n] is None else g * masks[n] for n, g in total.items()}
    passed = Passed(segment, params, x, trace)
    return Estimate(space.pull_back(passed, masked, how.through_norm), trace)


def _once_known(sample: Any, along: Float[Array, "..."]) -> Any:
    """`sample`, but what is made of it is made anew, and after the derivatives."""
    return jax.lax.optimization_barrier((jnp.asarray(sample, jnp.int32), along))[0]


def _shapes(arrays: dict[str, Element]) -> dict[str, tuple[int, ...]]:
    return {name: element.shape for name, element in arrays.items()}


def _directions(
    shapes: dict[str, tuple[int, ...]], noise: Noise, how: Perturbing
) -> Callable[[Any], tuple[Tree, Tree]]:
    """Sample -> (direction, partner); drawn one by one where samples are independent."""

    def draw(sample: Any) -> Tree:
        return noise(shapes, sample)

    def alone(sample: Any) -> tuple[Tree, Tree]:
        u = draw(sample)
        return u, u if how.samples == 1 else jax.tree.map(lambda part: part / how.samples, u)

    if how.set == "independent":
        return alone
    together = jax.vmap(draw)(jnp.arange(how.samples))
    both = SETS[how.set](together, SPACES[how.space].rows)
    return lambda sample: jax.tree.map(lambda part: part[sample], both)


def _credited(
    along: Float[Array, "..."], axes: tuple[Axis, ...], element: Element
) -> Float[Array, "..."]:
    """The copies' derivatives, summed and shaped to multiply the element's perturbation."""
    kept: list[Axis] = [axis for axis in axes if axis in element.route]
    return align(sum_to(along, axes, kept), kept, element.axes)


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
