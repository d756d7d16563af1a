"""Heads of local losses: auxiliary networks, one function and one table row each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from compiler.network.block import Block
from compiler.network.extend import averaging, conv, full, giving, normalized
from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec.losses import CnnHead, LinearHead, Local, MlpHead, NextBlocksHead
from fgspec.spec.shapes import INPUT, Extent, flat

_Layers = tuple[Layer, ...]
_POOLED = (2, 2)


class _Place(NamedTuple):
    """Where a head stands: the features it reads, the outputs it gives, the network around it."""

    features: Extent
    outputs: int
    network: Network
    block: str


def _linear(head: LinearHead, place: _Place) -> _Layers:
    return (full("linear", place.features, place.outputs),)


def _mlp(head: MlpHead, place: _Place) -> _Layers:
    layers, start, norm = [], place.features, place.network.auxiliary_norm
    for index in range(head.layers):
        own: dict[str, Any] = {"after": norm, "bias": norm is None}
        own["activation"] = place.network.activation
        made = full(f"hidden{index}", start, head.width, **own)
        layers, start = [*layers, made], made.end
    return (*layers, full("linear", start, place.outputs))


def _pooled_linear(head: LinearHead, place: _Place) -> _Layers:
    norm = normalized("norm", place.features, place.network.auxiliary_norm)
    pool = averaging("pool", norm.end, _POOLED)
    return (norm, pool, full("linear", pool.end, place.outputs))


def _pooled_mlp(head: MlpHead, place: _Place) -> _Layers:
    pool = averaging("pool", place.features, _POOLED)
    return (pool, *_mlp(head, place._replace(features=pool.end)))


def _cnn(head: CnnHead, place: _Place) -> _Layers:
    norm, activation = place.network.auxiliary_norm, place.network.activation
    own: dict[str, Any] = {"activation": activation}
    layers = [conv("conv0", place.features, head.channels, norm, size=1, **own)]
    for index in (1, 2, 3):
        made = conv(f"conv{index}", layers[-1].end, head.channels, norm, stride=2, **own)
        layers.append(made)
    pool = averaging("pool", layers[-1].end, _POOLED)
    return (*layers, pool, full("linear", pool.end, place.outputs))


def _next_blocks(head: NextBlocksHead, place: _Place) -> _Layers:
    blocks, classifier = place.network.blocks, place.network.classifier
    found: list[Layer] = []
    for block in blocks[[block.name for block in blocks].index(place.block) + 1 :]:
        found += _prefixed(block, found[-1].name if found else INPUT)
    start = found[-1].end if found else place.features
    pool = (averaging("average", start),) if classifier.averages else ()
    return (*found, *pool, *classifier.layers)


def _prefixed(block: Block, entering: str) -> _Layers:
    """The layers of a block under names that no other block has, reading the layer `entering`."""
    names = {layer.name: f"{block.name}_{layer.name}" for layer in block.layers}
    names[INPUT] = entering
    sources = block.sources()
    return tuple(
        replace(
            layer,
            name=names[layer.name],
            source=names[sources[layer.name]],
            adds=tuple(names[name] for name in layer.adds),
        )
        for layer in block.layers
    )


HEADS: dict[tuple[str, str], Callable[[Any, _Place], _Layers]] = {
    ("replicated", "linear"): _linear,
    ("replicated", "mlp"): _mlp,
    ("pooled", "linear"): _pooled_linear,
    ("pooled", "mlp"): _pooled_mlp,
    ("pooled", "cnn"): _cnn,
    ("pooled", "next_blocks"): _next_blocks,
}
"""(spec, place) -> layers, by aggregation and type (Fournier et al. 2023, auxiliary networks)."""


def final_head(network: Network, outputs: int) -> Readout:
    """The readout of a final loss that is not of class scores: the classifier's, but its outputs.

    Args:
        network: whose classifier it is like.
        outputs: that its loss is of.
    """
    *before, last = network.classifier.layers
    return replace(network.classifier, layers=(*before, giving(last, outputs)))


def make_head(local: Local, network: Network, block: str, outputs: int) -> Readout:
    """The readout of a local loss.

    Args:
        local: the section `losses.local`.
        network: whose features it reads.
        block: after which it stands.
        outputs: that its loss is of.
    """
    layers = HEADS[local.aggregation, local.head.type]
    place = _Place(network.block(block).end, outputs, network, block)
    if local.aggregation == "pooled":
        return Readout(layers(local.head, place), averages=False)
    averaged = place._replace(features=flat(place.features.width))
    return Readout(layers(local.head, averaged), network.head_norm)
