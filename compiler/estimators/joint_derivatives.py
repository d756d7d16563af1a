"""Slopes of a loss along a perturbation of all arrays of a segment at once.

A tangent (forward mode) gives every copy of a replicated loss a slope of its own. Where every
example has a single loss, and no example affects the loss of another, the inner product of the
noise with the loss's reverse-mode gradient is the same number. One such gradient serves all samples
of a step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.estimators.context import Losses
from compiler.named_arrays.axes import Axis
from compiler.network.network import Trace
from compiler.plan.segment import Site
from fgspec.spec.spaces import Space

Tree = Mapping[str, Any]
Run = Callable[[Tree], Trace]
"""Perturbations by name -> the forward pass with them."""


@partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["axes"])
@dataclass(frozen=True)
class Slopes:
    """Derivatives of the mean loss along one perturbation.

    Attributes:
        values: one derivative for each copy of the loss.
        axes: the axes of the copies, one for each axis of `values`.
    """

    values: Float[Array, "..."]
    axes: tuple[Axis, ...]


Push = Callable[[Tree], Slopes]
"""Perturbations by name -> the slopes along them."""

Derivative = Callable[[Run, Tree, Losses, Site, Space], tuple[Push, Trace]]
"""(forward pass, zeros in the shapes of the noise, losses, site, space) -> a function that computes
the slopes of the site's copies, and the unperturbed pass."""


def tangent(
    run: Run, at_rest: Tree, losses: Losses, site: Site, space: Space
) -> tuple[Push, Trace]:
    """Forward mode: one pass is linearized, and every perturbation goes through the linear map."""

    def copies(by: Tree) -> tuple[Float[Array, "..."], Trace]:
        trace = run(by)
        features = trace.features[site.block]
        return losses(site, features, None) / features.shape[0], trace

    _, push, trace = jax.linearize(copies, at_rest, has_aux=True)
    return lambda u: Slopes(push(u), site.axes), trace


def inner_product(
    run: Run, at_rest: Tree, losses: Losses, site: Site, space: Space
) -> tuple[Push, Trace]:
    """Reverse mode: one gradient of the mean loss, and its inner product with each perturbation.

    The slopes are [n] if the noise is on activations, and [] if it is on weights.
    """

    def objective(by: Tree) -> tuple[Float[Array, ""], Trace]:
        trace = run(by)
        return losses(site, trace.features[site.block], None).mean(), trace

    gradient, trace = jax.grad(objective, has_aux=True)(at_rest)
    axes: tuple[Axis, ...] = site.axes if space.rows else ()

    def push(u: Tree) -> Slopes:
        products = [gradient[name] * noise for name, noise in u.items()]
        sums = [product.sum(tuple(range(len(axes), product.ndim))) for product in products]
        return Slopes(sum(sums[1:], sums[0]), axes)

    return push, trace


def difference(step: float) -> Derivative:
    """Finite differences (l(step u) - l(0)) / step of every copy l of the loss.

    For its own difference a copy sees only the features that belong to it move.
    """

    def derivative(
        run: Run, at_rest: Tree, losses: Losses, site: Site, space: Space
    ) -> tuple[Push, Trace]:
        trace = run(at_rest)
        features = trace.features[site.block]
        start = losses(site, features, features)

        def push(u: Tree) -> Slopes:
            moved = run(jax.tree.map(lambda noise: step * noise, u)).features[site.block]
            change = losses(site, moved, features) - start
            return Slopes(change / (step * features.shape[0]), site.axes)

        return push, trace

    return derivative
