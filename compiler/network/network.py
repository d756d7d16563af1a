"""A network as data (a chain of blocks and a classifier), and its forward pass."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from compiler.named_arrays.computed_once import computed_once
from compiler.named_arrays.precision import precise
from compiler.named_arrays.random_streams import KeyData
from compiler.network.activations import Relu
from compiler.network.block import Block, apply_block, in_block, is_trained
from compiler.network.extend import full
from compiler.network.layers import LayerTrace
from compiler.network.norms import Moments, Norm
from compiler.network.readout import Readout, averaged
from compiler.network.shapes import Layer, LayerParams
from fgspec.spec.activations import Activation
from fgspec.spec.initializations import Initialization
from fgspec.spec.kinds import working
from fgspec.spec.shapes import flat

Drawn = Callable[[KeyData], Mapping[str, Float[Array, "..."]]]
"""Raw key of the run -> initial parameters by `blocks/block/layer/name`."""


@dataclass(frozen=True)
class Network:
    """A chain of blocks, and what its readouts are made of.

    Attributes:
        blocks: the blocks in order; the first reads the image, cut into its grid of positions.
        head_norm: normalizes the features that heads average.
        auxiliary_norm: follows the hidden layers of heads.
        classifier: the readout after the last block, or of several blocks.
        read: the blocks whose features the classifier reads together; empty: the last block.
        read_norm: normalizes the average over positions of each of them.
        initialization: draws the initial parameters.
        activation: the activation of the hidden layers of heads.
        drawn: computes initial parameters of blocks that `initialization` does not draw.
    """

    blocks: tuple[Block, ...]
    head_norm: Norm | None
    auxiliary_norm: Norm | None
    classifier: Readout
    initialization: Initialization
    activation: Activation = field(default_factory=Relu)
    drawn: Drawn | None = None
    read: tuple[str, ...] = ()
    read_norm: Norm | None = None

    def __post_init__(self) -> None:
        """Replace sections of a spec by the classes that compute, as in `Layer`."""
        object.__setattr__(self, "initialization", working(self.initialization))
        object.__setattr__(self, "activation", working(self.activation))

    @property
    def grid(self) -> tuple[int, int]:
        """The rows and columns of positions that an image is cut into."""
        start = self.blocks[0].start
        return (start.rows, start.columns)

    def classified(self, features: Mapping[str, Float[Array, "n p g c"]]) -> Float[Array, "n ..."]:
        """What the classifier reads, from the features after every block, by block."""
        if not self.read:
            return features[self.blocks[-1].name]
        each = [averaged(precise(features[name])) for name in self.read]
        norm = self.read_norm
        return jnp.concatenate([x if norm is None else norm(x) for x in each], -1)

    @property
    def classified_shape(self) -> tuple[int, int, int]:
        """The shape of what the classifier reads of one example."""
        if not self.read:
            return self.blocks[-1].end.features
        return (1, 1, sum(self.block(name).end.width for name in self.read))

    def reading(self, names: tuple[str, ...]) -> "Network":
        """The same with a linear classifier of the features after several blocks.

        Each of them is normalized as the last block's were before the classifier.
        """
        width = sum(self.block(name).end.width for name in names)
        first, last = self.classifier.layers[0], self.classifier.layers[-1]
        linear = full("linear", flat(width), last.end.width)
        classifier = replace(self.classifier, layers=(linear,), averages=True)
        return replace(self, classifier=classifier, read=names, read_norm=first.before)

    def block(self, name: str) -> Block:
        """The block with this name."""
        return next(block for block in self.blocks if block.name == name)


class Trace(NamedTuple):
    """The values of a forward pass that are used later.

    Attributes:
        output: the features after the last block.
        features: the features after every block, by the block's name.
        layers: the values that the pull-back needs, by `block/layer`.
    """

    output: Float[Array, "n p g c"]
    features: dict[str, Float[Array, "n p g c"]]
    layers: dict[str, LayerTrace]


def params_of(block: Block, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a block by layer and name, from those of a network by section.

    A block without any has no entry there, as empty dictionaries vanish from flat paths.
    """
    return params.get("blocks", {}).get(block.name, {})


def layer_path(block: Block, layer: Layer) -> str:
    """`block0/channel`: the name of a layer in parameters, perturbations and plans."""
    return f"{block.name}/{layer.name}"


def every_layer(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Layer]]:
    """Every layer of a chain of blocks with its path, in order."""
    return ((layer_path(block, layer), layer) for block in blocks for layer in block.layers)


def layers_in(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Layer]]:
    """Every layer that has parameters, with its path, in order."""
    return ((path, layer) for path, layer in every_layer(blocks) if is_trained(layer))


def patchify(image: Shaped[Array, "n h w c"], grid: tuple[int, int]) -> Shaped[Array, "n p 1 f"]:
    """Cut images into a grid of equal patches, each flattened in the order (h, w, colour).

    All networks use it. Layers know the grid, and activations are [n, p, g, c] with the positions
    of the grid row by row in p.

    Args:
        image: images; the grid divides their sides.
        grid: rows and columns of patches. As many as the image has make every pixel a position.
    """
    n, height, width, colours = image.shape
    (rows, columns), h, w = grid, height // grid[0], width // grid[1]
    cut = image.reshape(n, rows, h, columns, w, colours).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(n, rows * columns, 1, h * w * colours)


def forward(
    blocks: tuple[Block, ...],
    params: Mapping[str, Mapping[str, LayerParams]],
    x: Float[Array, "n p g c"],
    taps: Mapping[str, Float[Array, "..."]] | None = None,
    feedback: Mapping[str, Mapping[str, LayerParams]] | None = None,
    running: Mapping[str, Mapping[str, Moments]] | None = None,
) -> Trace:
    """Run a chain of blocks.

    Args:
        blocks: the chain.
        params: parameters by block, layer and name. A block without parameters may be missing.
        x: the input of the first block.
        taps: perturbations, added to pre-activations by `block/layer`, to layers' outputs by
            `block/layer/output`, and to blocks' outputs by `block`. What is not named has none.
        feedback: backward weights by block, layer and name, for layers whose errors do not go
            through the forward weights.
        running: moments by `block/layer` and place, to normalize with instead of the batch's.
    """
    features: dict[str, Float[Array, "n p g c"]] = {}
    layers: dict[str, LayerTrace] = {}
    for block in blocks:
        backward = feedback.get(block.name) if feedback is not None else None
        with jax.named_scope("forward"), in_block(block.name):
            x, traces = apply_block(
                block,
                params.get(block.name, {}),
                x,
                _under(block, taps),
                backward,
                _under(block, running),
            )
        x = x + taps[block.name].astype(x.dtype) if taps is not None and block.name in taps else x
        if block.layers[-1].adds and block is not blocks[-1]:
            x = computed_once(x)
        features[block.name] = x
        layers |= {f"{block.name}/{name}": trace for name, trace in traces.items()}
    return Trace(x, features, layers)


def _under(block: Block, flat: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The entries of one block, by layer, from entries by `block/layer`."""
    if flat is None:
        return None
    start = f"{block.name}/"
    return {
        path.removeprefix(start): value for path, value in flat.items() if path.startswith(start)
    }


def in_unit_interval(image: Shaped[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Pixels in [0, 1], float32: integers are divided by 255, floats are in [0, 1] already."""
    pixels = precise(image)
    return pixels / 255 if jnp.issubdtype(image.dtype, jnp.integer) else pixels


def standardized(
    image: Shaped[Array, "n h w c"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Array, "n h w c"]:
    """Pixels scaled to [0, 1], minus the colour's mean, divided by its standard deviation."""
    pixels = in_unit_interval(image)
    shift, scale = (jnp.asarray(values, pixels.dtype)[None, None, None] for values in (mean, std))
    return (pixels - shift) / scale
