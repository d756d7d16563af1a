"""Spaces: which arrays noise is added to and gradients are estimated for.

They are weights, pre-activations or outputs of blocks. A space names these arrays, runs the network
with perturbations of them, and turns estimates for them into gradients of the weights.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.pull_back import blockwise, layerwise, silencing
from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.named_arrays.paths import unflatten
from compiler.network.block import Block
from compiler.network.network import Trace, forward, layer_path, layers_in
from compiler.plan.credit import activation_route, weight_route
from compiler.plan.element import Element
from compiler.plan.segment import Segment
from fgspec.spec import spaces
from fgspec.spec.shapes import ParamSpec
from fgspec.spec.spaces import Credit

Tree = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Shapes = dict[str, tuple[int, ...]]


class Passed(NamedTuple):
    """An unperturbed forward pass through a segment, through which estimates are pulled back.

    Attributes:
        segment: the blocks.
        params: the parameters of the blocks, by block, layer and name.
        x: the input of the first block.
        trace: the values that the pass has computed.
    """

    segment: Segment
    params: Tree
    x: Features
    trace: Trace


def weights_in(segment: Segment) -> Iterator[tuple[str, ParamSpec]]:
    """The parameters of a segment, by `block/layer/name`."""
    for path, layer in layers_in(segment.blocks):
        for name, spec in layer.params().items():
            yield f"{path}/{name}", spec


def _moved(params: Tree, by: Tree) -> Tree:
    return jax.tree.map(jnp.add, dict(params), unflatten(by))


class Activation(spaces.Activation):
    """Pre-activations of every layer, for each example."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """The shapes [n, p, g, c] of the pre-activations, by `block/layer`."""
        return {path: (batch, *layer.outputs) for path, layer in layers_in(segment.blocks)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The pre-activations, with the axes of the copies that each one uses."""
        return {
            path: Element(shape, ACTIVATION, activation_route(segment, readout, path, credit))
            for path, shape in self.shapes(segment, batch).items()
        }

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """The forward pass with perturbations added to pre-activations."""
        return forward(blocks, params, x, by)

    def mask(self, name: str, trace: Trace) -> Float[Array, "n p g c"] | None:
        """0 where the layer's activation has derivative 0, else 1; None if it is not like ReLU."""
        return silencing(name, trace)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """Gradients of weights, through each layer by itself."""
        return layerwise(at.segment, at.params, at.trace, estimates, through_norm)


class BlockOutput(spaces.BlockOutput):
    """The output of every block, for each example."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """The shapes [n, p, g, c] of the outputs, by block."""
        return {block.name: (batch, *block.layers[-1].outputs) for block in segment.blocks}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The outputs, with the axes of the copies that each one uses.

        They are those of the last layer's pre-activations: an activation function mixes nothing.
        """
        elements, shapes = {}, self.shapes(segment, batch)
        for block in segment.blocks:
            end = layer_path(block, block.layers[-1])
            route = activation_route(segment, readout, end, credit)
            elements[block.name] = Element(shapes[block.name], ACTIVATION, route)
        return elements

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """The forward pass with perturbations added to the outputs of blocks."""
        return forward(blocks, params, x, by)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """Gradients of weights, through each block by itself."""
        return blockwise(at.segment, at.params, at.x, at.trace, estimates)


class Weight(spaces.Weight):
    """The parameters, with the same perturbation for all examples."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """The shapes of the parameters, by `block/layer/name`."""
        return {path: spec.shape for path, spec in weights_in(segment)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The parameters, with the axes of the copies that each one uses."""
        return _weight_elements(segment, readout, credit)

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """The forward pass with perturbations added to the parameters."""
        return forward(blocks, _moved(params, by), x)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """The estimates by block, layer and name: they are gradients of weights already."""
        return unflatten(estimates)


class ExampleWeight(spaces.ExampleWeight):
    """The parameters, with a perturbation of its own for each example."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """The shapes of the parameters, with a leading axis of examples."""
        return {path: (batch, *spec.shape) for path, spec in weights_in(segment)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The parameters of every example, which use only the copies of that example."""
        return {
            name: Element(
                (batch, *element.shape), ("batch", *element.axes), ("batch", *element.route)
            )
            for name, element in _weight_elements(segment, readout, credit).items()
        }

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """The forward pass with a weight per example; no layer may couple examples."""

        def one_example(x: Float[Array, "p g c"], by: Tree) -> Trace:
            return forward(blocks, _moved(params, by), x[None])

        return jax.tree.map(lambda array: array[:, 0], jax.vmap(one_example)(x, dict(by)))

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """The estimates summed over examples, by block, layer and name."""
        return unflatten({name: array.sum(0) for name, array in estimates.items()})


def _weight_elements(
    segment: Segment, readout: frozenset[Axis], credit: Credit
) -> dict[str, Element]:
    elements = {}
    for name, spec in weights_in(segment):
        route = weight_route(segment, readout, name.rpartition("/")[0], spec, credit)
        elements[name] = Element(spec.shape, spec.axes, route)
    return elements
