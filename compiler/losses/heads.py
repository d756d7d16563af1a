"""Heads of local losses: auxiliary networks, one function and one table row each."""

from collections.abc import Callable
from typing import Any

from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Extent, Layer
from fgspec.spec.losses import LinearHead, Local

_Layers = tuple[Layer, ...]


def _linear(head: LinearHead, features: Extent, outputs: int) -> _Layers:
    end = Extent(1, 1, 1, outputs)
    return (Layer("linear", "full", features, end, activation="none"),)


HEADS: dict[tuple[str, str], Callable[[Any, Extent, int], _Layers]] = {
    ("replicated", "linear"): _linear,
}
"""(spec, features that it reads, outputs) -> layers, by aggregation and type."""


def make_head(local: Local, network: Network, block: str, outputs: int) -> Readout:
    """The readout of a local loss.

    Args:
        local: the section `losses.local`.
        network: whose features it reads.
        block: after which it stands.
        outputs: that its loss is of.
    """
    layers = HEADS[local.aggregation, local.head.type]
    features = network.block(block).end
    if local.aggregation == "pooled":
        return Readout(layers(local.head, features, outputs), averages=False)
    flat = Extent(1, 1, 1, features.groups * features.channels)
    return Readout(layers(local.head, flat, outputs), network.head_norm)
