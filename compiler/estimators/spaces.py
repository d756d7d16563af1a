"""What is perturbed or estimated: weights, pre-activations, outputs of blocks."""

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
    """A forward pass through a segment, unperturbed: where estimates are pulled back.

    Attributes:
        segment: the blocks.
        params: of the blocks, by block, layer and name.
        x: input of the first block.
        trace: what the pass left behind.
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
    """The section with what it computes."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """Of the pre-activations, by `block/layer`."""
        return {path: (batch, *layer.outputs) for path, layer in layers_in(segment.blocks)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The pre-activations."""
        return {
            path: Element(shape, ACTIVATION, activation_route(segment, readout, path, credit))
            for path, shape in self.shapes(segment, batch).items()
        }

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """With pre-activations moved."""
        return forward(blocks, params, x, by)

    def mask(self, name: str, trace: Trace) -> Float[Array, "n p g c"] | None:
        """The derivative of the layer's activation."""
        return silencing(name, trace)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """Layer by layer, at each layer's own input."""
        return layerwise(at.segment, at.params, at.trace, estimates, through_norm)


class BlockOutput(spaces.BlockOutput):
    """The section with what it computes."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """Of the outputs, by block."""
        return {block.name: (batch, *block.layers[-1].outputs) for block in segment.blocks}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The outputs: nothing is mixed behind the last layer but what follows the block."""
        elements, shapes = {}, self.shapes(segment, batch)
        for block in segment.blocks:
            end = layer_path(block, block.layers[-1])
            route = activation_route(segment, readout, end, credit)
            elements[block.name] = Element(shapes[block.name], ACTIVATION, route)
        return elements

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """With outputs moved."""
        return forward(blocks, params, x, by)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """Through every block by itself."""
        return blockwise(at.segment, at.params, at.x, at.trace, estimates)


class Weight(spaces.Weight):
    """The section with what it computes."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """Of the parameters, by `block/layer/name`."""
        return {path: spec.shape for path, spec in weights_in(segment)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The parameters."""
        return _weight_elements(segment, readout, credit)

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """With parameters moved."""
        return forward(blocks, _moved(params, by), x)

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """They are estimates of the weights' gradients already."""
        return unflatten(estimates)


class ExampleWeight(spaces.ExampleWeight):
    """The section with what it computes: every example goes through weights of its own."""

    def shapes(self, segment: Segment, batch: int) -> Shapes:
        """Of the parameters of every row."""
        return {path: (batch, *spec.shape) for path, spec in weights_in(segment)}

    def elements(
        self, segment: Segment, readout: frozenset[Axis], credit: Credit, batch: int
    ) -> dict[str, Element]:
        """The parameters of every row, each of which answers for its own copies."""
        return {
            name: Element(
                (batch, *element.shape), ("batch", *element.axes), ("batch", *element.route)
            )
            for name, element in _weight_elements(segment, readout, credit).items()
        }

    def run(self, blocks: tuple[Block, ...], params: Tree, x: Features, by: Tree) -> Trace:
        """Every example through weights of its own; nothing may couple examples."""

        def one_example(x: Float[Array, "p g c"], by: Tree) -> Trace:
            return forward(blocks, _moved(params, by), x[None])

        return jax.tree.map(lambda array: array[:, 0], jax.vmap(one_example)(x, dict(by)))

    def pull_back(self, at: Passed, estimates: Tree, through_norm: bool) -> Tree:
        """Summed over examples."""
        return unflatten({name: array.sum(0) for name, array in estimates.items()})


def _weight_elements(
    segment: Segment, readout: frozenset[Axis], credit: Credit
) -> dict[str, Element]:
    elements = {}
    for name, spec in weights_in(segment):
        route = weight_route(segment, readout, name.rpartition("/")[0], spec, credit)
        elements[name] = Element(spec.shape, spec.axes, route)
    return elements
