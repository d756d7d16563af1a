"""What is perturbed or estimated: weights, pre-activations, outputs of blocks; one row each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.axes import ACTIVATION, Axis
from compiler.gradient.credit import Credit, activation_route, weight_route
from compiler.gradient.pull_back import blockwise, layerwise, silencing
from compiler.gradient.segment import Segment
from compiler.network.block import Block
from compiler.network.network import Trace, forward, layer_path, layers_in
from compiler.trees import unflatten
from fgspec.spec.gradient import Perturbation
from fgspec.spec.shapes import ParamSpec

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Perturbing:
    """How a segment is perturbed.

    Attributes:
        space: a row of `SPACES`.
        samples: K, perturbations whose estimates are averaged.
        set: a row of `compiler.gradient.sets.SETS`, how the K relate to each other.
        shared: whether all examples share the noise of an activation.
        credit: which copies of a loss an element answers for.
        through_norm: whether activity-space estimates are pulled back through the normalization
            that stands after a linear map.
        vectorized: whether samples are mapped over an axis instead of scanned.
        redrawn: whether noise is drawn a second time where its derivative is known, instead of
            being stored until then.
        derivative: a row of `compiler.gradient.directional.DERIVATIVES`.
        step: length of a finite difference; None for derivatives.
    """

    space: str
    samples: int
    set: str
    shared: bool
    credit: Credit
    through_norm: bool
    vectorized: bool
    redrawn: bool
    derivative: str
    step: float | None


class Element(NamedTuple):
    """One perturbed array: its shape, its named axes and its credit route."""

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    route: tuple[Axis, ...]


class Passed(NamedTuple):
    """A forward pass through a segment, unperturbed: where estimates are pulled back.

    Attributes:
        segment: the blocks.
        params: of the blocks, by block, layer and name.
        x: input of the first block.
        trace: what the pass left behind.
    """

    segment: Segment
    params: Tree
    x: Float[Array, "n p g c"]
    trace: Trace


class Space(NamedTuple):
    """What is perturbed and how an estimate there becomes one of the weights.

    Attributes:
        rows: leading axes of a perturbed array that count vectors instead of being part of one.
        shapes: (segment, batch size) -> the shape of every perturbed array by name.
        elements: (segment, axes that the readout mixes, how, batch size) -> the perturbed arrays
            by name.
        run: (blocks, weights, x, perturbations by name) -> the forward pass.
        mask: (name, trace) -> what estimates are multiplied by, 0 or 1, or None.
        pull_back: (pass, estimates by name, through_norm) -> gradient of the weights.
    """

    rows: int
    shapes: Callable[[Segment, int], dict[str, tuple[int, ...]]]
    elements: Callable[[Segment, frozenset[Axis], Perturbing, int], dict[str, Element]]
    run: Callable[[tuple[Block, ...], Tree, Float[Array, "n p g c"], Tree], Trace]
    mask: Callable[[str, Trace], Float[Array, "..."] | None]
    pull_back: Callable[[Passed, Tree, bool], Tree]


def _activation_shapes(segment: Segment, batch: int) -> dict[str, tuple[int, ...]]:
    return {path: (batch, *layer.outputs) for path, layer in layers_in(segment.blocks)}


def _output_shapes(segment: Segment, batch: int) -> dict[str, tuple[int, ...]]:
    return {block.name: (batch, *block.layers[-1].outputs) for block in segment.blocks}


def _weight_shapes(segment: Segment, batch: int) -> dict[str, tuple[int, ...]]:
    return {path: spec.shape for path, spec in _weights(segment)}


def _example_weight_shapes(segment: Segment, batch: int) -> dict[str, tuple[int, ...]]:
    return {path: (batch, *spec.shape) for path, spec in _weights(segment)}


def _weights(segment: Segment) -> Iterator[tuple[str, ParamSpec]]:
    for path, layer in layers_in(segment.blocks):
        for name, spec in layer.params().items():
            yield f"{path}/{name}", spec


def _activation_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    found = {}
    for path, shape in _activation_shapes(segment, 1 if how.shared else batch).items():
        route = activation_route(segment, readout, path, how.credit)
        found[path] = Element(shape, ACTIVATION, route)
    return found


def _output_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    """Behind the last layer of a block nothing is mixed that its pre-activations do not mix."""
    found, shapes = {}, _output_shapes(segment, 1 if how.shared else batch)
    for block in segment.blocks:
        end = layer_path(block, block.layers[-1])
        route = activation_route(segment, readout, end, how.credit)
        found[block.name] = Element(shapes[block.name], ACTIVATION, route)
    return found


def _weight_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    found = {}
    for name, spec in _weights(segment):
        route = weight_route(segment, readout, name.rpartition("/")[0], spec, how.credit)
        found[name] = Element(spec.shape, spec.axes, route)
    return found


def _example_weight_elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    """Noise of its own for every example, each of which answers for its own copies."""
    return {
        name: Element((batch, *e.shape), ("batch", *e.axes), ("batch", *e.route))
        for name, e in _weight_elements(segment, readout, how, batch).items()
    }


def _moved(params: Tree, by: Tree) -> Tree:
    return jax.tree.map(jnp.add, dict(params), unflatten(by))


def _with_weights_moved(
    blocks: tuple[Block, ...], params: Tree, x: Float[Array, "n p g c"], by: Tree
) -> Trace:
    return forward(blocks, _moved(params, by), x)


def _each_with_weights_moved(
    blocks: tuple[Block, ...], params: Tree, x: Float[Array, "n p g c"], by: Tree
) -> Trace:
    """Every example through weights of its own; nothing may couple examples."""

    def one(x: Float[Array, "p g c"], by: Tree) -> Trace:
        return forward(blocks, _moved(params, by), x[None])

    return jax.tree.map(lambda part: part[:, 0], jax.vmap(one)(x, dict(by)))


def _unmasked(name: str, trace: Trace) -> None:
    return None


SPACES: dict[str, Space] = {
    "activation": Space(
        rows=1,
        shapes=_activation_shapes,
        elements=_activation_elements,
        run=forward,
        mask=silencing,
        pull_back=lambda at, estimates, through_norm: layerwise(
            at.segment, at.params, at.trace, estimates, through_norm
        ),
    ),
    "block_output": Space(
        rows=1,
        shapes=_output_shapes,
        elements=_output_elements,
        run=forward,
        mask=_unmasked,
        pull_back=lambda at, estimates, through_norm: blockwise(
            at.segment, at.params, at.x, at.trace, estimates
        ),
    ),
    "weight": Space(
        rows=0,
        shapes=_weight_shapes,
        elements=_weight_elements,
        run=_with_weights_moved,
        mask=_unmasked,
        pull_back=lambda at, estimates, through_norm: unflatten(estimates),
    ),
    "example_weight": Space(
        rows=1,
        shapes=_example_weight_shapes,
        elements=_example_weight_elements,
        run=_each_with_weights_moved,
        mask=_unmasked,
        pull_back=lambda at, estimates, through_norm: unflatten(
            {name: part.sum(0) for name, part in estimates.items()}
        ),
    ),
}
"""By `space_of`."""


def space_of(perturbation: Perturbation) -> str:
    """The row of `SPACES`: noise of its own for every example makes weights another space."""
    if perturbation.space == "weight" and perturbation.sharing == "example":
        return "example_weight"
    return perturbation.space


def elements(
    segment: Segment, readout: frozenset[Axis], how: Perturbing, batch: int
) -> dict[str, Element]:
    """The arrays of a segment that are perturbed, by name."""
    return SPACES[how.space].elements(segment, readout, how, batch)
