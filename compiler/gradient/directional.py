"""Derivatives of a loss along a perturbation: one function and one table row each.

Pushed forward, a tangent gives every copy of a replicated loss a derivative of its own. Where each
example has one loss and moves no other's, the inner product of the noise with the loss's
reverse-mode gradient is the same number, and one gradient serves all samples of a step.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.axes import Axis
from compiler.gradient.segment import Losses, Site
from compiler.gradient.spaces import SPACES, Perturbing
from compiler.network.network import Trace

Tree = Mapping[str, Any]
Run = Callable[[Tree], Trace]
"""Perturbations by name -> the forward pass."""

Push = Callable[[Tree], tuple[Float[Array, "..."], tuple[Axis, ...]]]
"""A perturbation by name -> derivatives along it, and their axes."""

Derivative = Callable[[Run, Tree, Losses, Site, Perturbing], tuple[Push, Trace]]
"""(forward pass, zeros in the shapes of the noise, losses, site, how) -> derivatives of the copies
of the site's mean loss, and the unperturbed pass."""


def tangent(
    run: Run, at_rest: Tree, losses: Losses, site: Site, how: Perturbing
) -> tuple[Push, Trace]:
    """One pass is linearized, and every perturbation goes through the linear map."""

    def copies(by: Tree) -> tuple[Float[Array, "..."], Trace]:
        trace = run(by)
        features = trace.features[site.block]
        return losses(site, features, None) / features.shape[0], trace

    _, push, trace = jax.linearize(copies, at_rest, has_aux=True)
    return lambda u: (push(u), site.axes), trace


def inner_product(
    run: Run, at_rest: Tree, losses: Losses, site: Site, how: Perturbing
) -> tuple[Push, Trace]:
    """One gradient of the mean loss, and its inner product with every perturbation.

    Noise that moves examples gives [n], noise that moves weights one number.
    """

    def objective(by: Tree) -> tuple[Float[Array, ""], Trace]:
        trace = run(by)
        return losses(site, trace.features[site.block], None).mean(), trace

    gradient, trace = jax.grad(objective, has_aux=True)(at_rest)
    axes: tuple[Axis, ...] = site.axes if SPACES[how.space].rows else ()

    def push(u: Tree) -> tuple[Float[Array, "..."], tuple[Axis, ...]]:
        products = [gradient[name] * part for name, part in u.items()]
        sums = [product.sum(tuple(range(len(axes), product.ndim))) for product in products]
        return sum(sums[1:], sums[0]), axes

    return push, trace


def difference(
    run: Run, at_rest: Tree, losses: Losses, site: Site, how: Perturbing
) -> tuple[Push, Trace]:
    """(l(step u) - l(0)) / step for every copy, of which each sees its own features move only."""
    assert how.step is not None
    step, trace = how.step, run(at_rest)
    features = trace.features[site.block]
    start = losses(site, features, features)

    def push(u: Tree) -> tuple[Float[Array, "..."], tuple[Axis, ...]]:
        moved = run(jax.tree.map(lambda part: step * part, u)).features[site.block]
        change = losses(site, moved, features) - start
        return change / (step * features.shape[0]), site.axes

    return push, trace


DERIVATIVES: dict[str, Derivative] = {
    "forward": tangent,
    "reverse": inner_product,
    "difference": difference,
}
"""By `Perturbing.derivative`."""
