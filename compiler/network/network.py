"""A network as data, stem and blocks and what the readouts read, and its forward pass."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from compiler.network.layers import (
    LINEARS,
    Layer,
    LayerParams,
    LayerTrace,
    Moments,
    Norm,
    ParamSpec,
    apply_layer,
)

BlockParams = Mapping[str, Mapping[str, Float[Array, "..."]]]


@dataclass(frozen=True)
class Block:
    """A chain of layers; a residual layer in it adds the block's input."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Network:
    """A chain of blocks between a stem and readouts.

    Attributes:
        patches: patches per side of the image.
        blocks: in order.
        head_norm: normalizes the features that local heads read.
        classifier_norm: normalizes the averaged features that the classifier reads.
        initialization: a row of `compiler.network.initialize.SCALES`.
    """

    patches: int
    blocks: tuple[Block, ...]
    head_norm: Norm | None
    classifier_norm: Norm | None
    initialization: str


class Trace(NamedTuple):
    """What a forward pass leaves behind.

    Attributes:
        output: features after the last block, [n, p, g, c].
        features: features after every block, by the block's name.
        layers: what the pull-back needs, by `block/layer`.
    """

    output: Float[Array, "n p g c"]
    features: dict[str, Float[Array, "n p g c"]]
    layers: dict[str, LayerTrace]


def layer_path(block: Block, layer: Layer) -> str:
    """`block0/channel`: names a layer in parameters, perturbations and plans."""
    return f"{block.name}/{layer.name}"


def layers_in(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Layer]]:
    """Every layer of a chain of blocks with its path, in order."""
    return ((layer_path(block, layer), layer) for block in blocks for layer in block.layers)


def block_params(block: Block) -> dict[str, dict[str, ParamSpec]]:
    """The parameters of a block, by layer and name."""
    return {layer.name: LINEARS[layer.kind].params(layer) for layer in block.layers}


def patchify(image: Shaped[Array, "n h w c"], patches: int) -> Shaped[Array, "n p 1 f"]:
    """Cut images into patches^2 non-overlapping patches, each flattened as (h, w, colour)."""
    n, height, width, colours = image.shape
    h, w = height // patches, width // patches
    cut = image.reshape(n, patches, h, patches, w, colours).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(n, patches * patches, 1, h * w * colours)


def forward(
    blocks: tuple[Block, ...],
    params: Mapping[str, Mapping[str, LayerParams]],
    x: Float[Array, "n p g c"],
    taps: Mapping[str, Float[Array, "m q h d"]] | None = None,
    feedback: Mapping[str, Mapping[str, LayerParams]] | None = None,
    known: Mapping[str, Mapping[str, Moments]] | None = None,
) -> Trace:
    """Run a chain of blocks.

    Args:
        blocks: the chain.
        params: by block, layer and name.
        x: input of the first block.
        taps: perturbations of pre-activations by `block/layer` and of the outputs of blocks by
            `block`; absent ones are zero.
        feedback: backward weights by block, layer and name, where they are not the forward ones.
        known: moments by `block/layer` and place, instead of the batch's.
    """
    taps = taps or {}
    features: dict[str, Float[Array, "n p g c"]] = {}
    layers: dict[str, LayerTrace] = {}
    for block in blocks:
        skip = x
        for layer in block.layers:
            path = layer_path(block, layer)
            own = params[block.name][layer.name]
            back = feedback[block.name][layer.name] if feedback is not None else None
            moments = known[path] if known is not None else None
            added = [taps[path]] if path in taps else []
            added += [skip] if layer.residual else []
            x, layers[path] = apply_layer(layer, own, x, added, back, moments)
        x = x + taps[block.name] if block.name in taps else x
        features[block.name] = x
    return Trace(x, features, layers)


def averaged(x: Float[Array, "n p g c"]) -> Float[Array, "n 1 1 f"]:
    """The average over patches, all groups in a row."""
    return x.mean(1, keepdims=True).reshape(x.shape[0], 1, 1, -1)


def pooled(
    x: Float[Array, "n p g c"], norm: Norm | None, known: Moments | None = None
) -> Float[Array, "n f"]:
    """What the classifier reads: `averaged`, normalized, by `known` moments if there are any."""
    mean = averaged(x)
    return (norm(mean, known) if norm is not None else mean).reshape(x.shape[0], -1)


Standardize = Callable[[Shaped[Array, "n h w c"]], Float[Array, "n h w c"]]


def in_unit_interval(image: Shaped[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Pixels in [0, 1]: integer ones are in 0..255, floating ones are there already."""
    pixels = image.astype(jnp.float32)
    return pixels / 255 if jnp.issubdtype(image.dtype, jnp.integer) else pixels


def standardizer(mean: tuple[float, ...], std: tuple[float, ...]) -> Standardize:
    """A function that scales pixels to [0, 1] and standardises them per colour."""

    def standardize(image: Shaped[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        shift, scale = (jnp.asarray(v, jnp.float32)[None, None, None] for v in (mean, std))
        return (in_unit_interval(image) - shift) / scale

    return standardize
