"""The forward gradient: a directional derivative along a perturbation, times the perturbation.

One primal pass is linearized; every sample sends its tangent through the linear map and the
samples' estimates are averaged before anything is pulled back to weights. The two spaces differ
in what is perturbed and in that pull-back only: one table row each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.axes import ACTIVATION, Axis, align, sum_to
from compiler.gradient.credit import Credit, activation_route, weight_route
from compiler.gradient.pull_back import firing, layerwise
from compiler.gradient.segment import Estimate, Losses, Noise, Segment
from compiler.network.layers import LINEARS
from compiler.network.network import Trace, forward, layers_in
from compiler.trees import unflatten

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Perturbing:
    """How a segment is perturbed.

    Attributes:
        space: a row of `SPACES`.
        samples: K, perturbations whose estimates are averaged.
        shared: whether all examples share the noise of an activation.
        credit: which copies of a loss an element answers for.
        through_norm: whether activity-space estimates are pulled back through the normalization
            that stands after a linear map.
        vectorized: whether samples are mapped over an axis instead of scanned.
    """

    space: str
    samples: int
    shared: bool
    credit: Credit
    through_norm: bool
    vectorized: bool


class Element(NamedTuple):
    """One perturbed array: its shape, its named axes and its credit route."""

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    route: tuple[Axis, ...]


class Space(NamedTuple):
    """What is perturbed and how an estimate there becomes one of the weights.

    Attributes:
        rows: leading axes of a perturbed array that count vectors instead of being part of one.
        elements: (segment, axes that the readout mixes, how, batch size) -> the perturbed arrays
            by name.
        place: (segment, weights, perturbations by name) -> (weights, taps) of the forward pass.
        mask: (name, trace) -> what the perturbation of an element is multiplied by, or None.
        pull_back: (segment, how, weights, trace, estimates by name) -> gradient of the weights.
    """

    rows: int
    elements: Callable[[Segment, frozenset[Axis], Perturbing, int], dict[str, Element]]
    place: Callable[[Segment, Tree, Tree], tuple[Tree, Tree]]
    mask: Callable[[str, Trace], Float[Array, "..."] | None]
    pull_back: Callable[[Segment, Perturbing, Tree, Trace, Tree], Tree]


def _activation_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    found = {}
    for path, layer in layers_in(segment.blocks):
        route = activation_route(segment, readout, path, how.credit)
        shape = (1 if how.shared else batch, *layer.outputs)
        found[path] = Element(shape, ACTIVATION, route)
    return found


def _layerwise(
    segment: Segment, how: Perturbing, params: Tree, trace: Trace, estimates: Tree
) -> Tree:
    return layerwise(segment, params, trace, estimates, how.through_norm)


def _weight_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    found = {}
    for path, layer in layers_in(segment.blocks):
        for name, spec in LINEARS[layer.kind].params(layer).items():
            route = weight_route(segment, readout, path, spec, how.credit)
            found[f"{path}/{name}"] = Element(spec.shape, spec.axes, route)
    return found


def _move_weights(segment: Segment, params: Tree, by: Tree) -> tuple[Tree, Tree]:
    return jax.tree.map(jnp.add, dict(params), unflatten(by)), {}


SPACES: dict[str, Space] = {
    "activation": Space(
        rows=1,
        elements=_activation_elements,
        place=lambda segment, params, by: (params, by),
        mask=firing,
        pull_back=_layerwise,
    ),
    "weight": Space(
        rows=0,
        elements=_weight_elements,
        place=_move_weights,
        mask=lambda name, trace: None,
        pull_back=lambda segment, how, params, trace, estimates: unflatten(estimates),
    ),
}


def elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    """The arrays of a segment that are perturbed, by name."""
    return SPACES[how.space].elements(segment, readout, how, batch)


def forward_gradient(
    segment: Segment,
    params: Tree,
    x: Float[Array, "n p g c"],
    losses: Losses,
    how: Perturbing,
    perturbed: tuple[dict[str, Element], Noise],
) -> Estimate:
    """Estimate the gradient of the segment's one loss (Ren et al. 2022, equations 2 and 3).

    For every perturbed array z with perturbation u the estimate is the sum of the tangents of
    those copies of the loss that an element of z answers for, times u.

    Args:
        segment: with one site, at its end.
        params: of its blocks.
        x: its input.
        losses: copies of the site's loss.
        how: space, samples and lowering.
        perturbed: the arrays of `elements` and the noise that perturbs them.
    """
    (site,) = segment.sites
    space, (arrays, noise) = SPACES[how.space], perturbed
    at_rest = {name: jnp.zeros(element.shape, jnp.float32) for name, element in arrays.items()}

    def copies(by: Tree) -> tuple[Float[Array, "..."], Trace]:
        weights, taps = space.place(segment, params, by)
        trace = forward(segment.blocks, weights, x, taps)
        return losses(site, trace.features[site.block]) / x.shape[0], trace

    _, push, trace = jax.linearize(copies, at_rest, has_aux=True)

    def one(sample: Any) -> Tree:
        u = {name: noise(name, element.shape, sample) for name, element in arrays.items()}
        tangent = push(u)
        return {
            name: _credited(tangent, site.axes, element) * u[name]
            for name, element in arrays.items()
        }

    mean = _mean_over_samples(one, how)
    masks = {name: space.mask(name, trace) for name in arrays}
    masked = {n: g if masks[n] is None else g * masks[n] for n, g in mean.items()}
    return Estimate(space.pull_back(segment, how, params, trace, masked), trace)


def _credited(
    tangent: Float[Array, "..."], axes: tuple[Axis, ...], element: Element
) -> Float[Array, "..."]:
    """The copies' tangents, summed and shaped to multiply the element's perturbation."""
    kept: list[Axis] = [axis for axis in axes if axis in element.route]
    return align(sum_to(tangent, axes, kept), kept, element.axes)


def _mean_over_samples(one: Callable[[Any], Tree], how: Perturbing) -> Tree:
    if how.samples == 1:
        return one(0)
    samples = jnp.arange(how.samples)
    if how.vectorized:
        return jax.tree.map(lambda g: g.mean(0), jax.vmap(one)(samples))

    def add(total: Tree, sample: Any) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, one(sample)), None

    shapes = jax.eval_shape(one, samples[0])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    total, _ = jax.lax.scan(add, zeros, samples)
    return jax.tree.map(lambda g: g / how.samples, total)
