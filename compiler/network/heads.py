"""Heads: the small networks between a block and its local loss (Fournier et al. 2023)."""

from dataclasses import replace
from typing import Any, NamedTuple

from compiler.network.block import Block
from compiler.network.extend import averaging, conv, full, giving, normalized
from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import heads
from fgspec.spec.kinds import working
from fgspec.spec.losses import Local
from fgspec.spec.objectives import Objective
from fgspec.spec.shapes import INPUT, Extent, flat

Layers = tuple[Layer, ...]
_POOLED = (2, 2)


class Place(NamedTuple):
    """Where a head is.

    Attributes:
        features: the shape of the features that it reads.
        outputs: the number of its outputs.
        network: the network around it.
        block: the name of the block before it.
    """

    features: Extent
    outputs: int
    network: Network
    block: str


class LinearHead(heads.LinearHead):
    """A linear head."""

    def averaged(self, place: Place) -> Layers:
        """A linear layer on averaged features."""
        return (full("linear", place.features, place.outputs),)

    def pooled(self, place: Place) -> Layers:
        """Normalization, average pooling to 2x2, a linear layer."""
        norm = normalized("norm", place.features, place.network.auxiliary_norm)
        pool = averaging("pool", norm.end, _POOLED)
        return (norm, pool, full("linear", pool.end, place.outputs))


class MlpHead(heads.MlpHead):
    """A multilayer perceptron as head."""

    def averaged(self, place: Place) -> Layers:
        """Hidden layers and a linear layer, on averaged features."""
        layers, start, norm = [], place.features, place.network.auxiliary_norm
        for index in range(self.layers):
            options: dict[str, Any] = {"after": norm, "bias": norm is None}
            options["activation"] = place.network.activation
            layer = full(f"hidden{index}", start, self.width, **options)
            layers, start = [*layers, layer], layer.end
        return (*layers, full("linear", start, place.outputs))

    def pooled(self, place: Place) -> Layers:
        """Average pooling to 2x2, then the same layers."""
        pool = averaging("pool", place.features, _POOLED)
        return (pool, *self.averaged(place._replace(features=pool.end)))


class CnnHead(heads.CnnHead):
    """A convolutional network as head."""

    def pooled(self, place: Place) -> Layers:
        """A 1x1 and three 3x3 convolutions, average pooling to 2x2, a linear layer."""
        norm = place.network.auxiliary_norm
        options: dict[str, Any] = {"activation": place.network.activation}
        layers = [conv("conv0", place.features, self.channels, norm, size=1, **options)]
        for index in (1, 2, 3):
            layer = conv(f"conv{index}", layers[-1].end, self.channels, norm, stride=2, **options)
            layers.append(layer)
        pool = averaging("pool", layers[-1].end, _POOLED)
        return (*layers, pool, full("linear", pool.end, place.outputs))


class NextBlocksHead(heads.NextBlocksHead):
    """A copy of the rest of the network as head, with weights of its own."""

    def pooled(self, place: Place) -> Layers:
        """The layers of all later blocks and of the classifier."""
        blocks, classifier = place.network.blocks, place.network.classifier
        layers: list[Layer] = []
        for block in blocks[[block.name for block in blocks].index(place.block) + 1 :]:
            layers += _prefixed(block, layers[-1].name if layers else INPUT)
        start = layers[-1].end if layers else place.features
        pool = (averaging("average", start),) if classifier.averages else ()
        return (*layers, *pool, *classifier.layers)


def _prefixed(block: Block, entering: str) -> Layers:
    """The layers of a block, renamed to be unique among blocks; they read the layer `entering`."""
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


def final_head(network: Network, outputs: int) -> Readout:
    """The readout of a final loss that does not score classes, such as a contrastive one.

    Args:
        network: the network; the readout has the layers of its classifier.
        outputs: the number of its outputs.
    """
    *before, last = network.classifier.layers
    return replace(network.classifier, layers=(*before, giving(last, outputs)))


def make_head(
    local: Local, network: Network, block: str, outputs: int, objective: Objective
) -> Readout:
    """The readout of a local loss.

    Args:
        local: the section `losses.local`.
        network: the network.
        block: the name of the block before the loss.
        outputs: the number of the head's outputs.
        objective: the loss, which may read other chains of layers than the head.
    """
    head, place = working(local.head), Place(network.block(block).end, outputs, network, block)
    if objective.reads_features:
        return Readout((normalized("features", place.features, None),), averages=False, bare=True)
    averages = local.aggregation == "replicated"
    if averages:
        place = place._replace(features=flat(place.features.width))
    chains = objective.chains(place, head.averaged(place) if averages else head.pooled(place))
    layers: list[Layer] = []
    ends: list[str] = []
    for index, chain in enumerate(chains):
        first, *rest = chain or (normalized(f"features{index}", place.features, None),)
        layers += [replace(first, source=INPUT) if index else first, *rest]
        ends.append(layers[-1].name)
    norm = network.head_norm if averages else None
    return Readout(tuple(layers), norm, averages, tuple(ends) if len(ends) > 1 else ())
