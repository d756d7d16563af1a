"""Networks on a grid of positions: plain convolutions, ResNet-18, and chains of any layers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from compiler.network.activations import NoActivation, Relu
from compiler.network.block import Block
from compiler.network.extend import averaging, conv, full, largest, normalized
from compiler.network.network import Network
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import architectures
from fgspec.spec.activations import Activation
from fgspec.spec.architectures import PlacedLayer
from fgspec.spec.initializations import Initialization
from fgspec.spec.kinds import working
from fgspec.spec.normalizations import GridNormalization
from fgspec.spec.shapes import INPUT, Extent

Image = tuple[int, int, int]


def grid_norm(spec: GridNormalization) -> Norm | None:
    """The normalization after each linear map, or None."""
    normalization = working(spec.type)
    if not normalization.normalizes:
        return None
    groups = spec.parts if normalization.reads_parts else 1
    return Norm(normalization.over, spec.epsilon, spec.affine, groups, normalization)


def over_all(norm: Norm | None) -> Norm | None:
    """The normalization over all channels, for features that a group norm may not divide."""
    if norm is None or norm.how.over_whole is None:
        return norm
    return replace(norm, over=norm.how.over_whole, split=1)


def _network(
    blocks: tuple[Block, ...],
    norm: Norm | None,
    outputs: int,
    initialization: Initialization,
    activation: Activation,
) -> Network:
    """A network whose classifier normalizes, averages over positions, and is linear."""
    end, classifier_norm = blocks[-1].end, over_all(norm)
    pool = averaging("pool", end)
    before = (normalized("norm", end, classifier_norm),) if classifier_norm is not None else ()
    layers = (*before, pool, full("linear", pool.end, outputs))
    classifier = Readout(layers, averages=False)
    return Network(blocks, None, classifier_norm, classifier, working(initialization), activation)


class ConvNet(architectures.ConvNet):
    """A plain convolutional network, one 3x3 convolution per block (Fournier et al. 2023)."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, start, blocks = grid_norm(self.normalization), pixels(image), []
        activation = working(self.activation)
        for index, channels in enumerate(self.channels):
            stride = 2 if index in self.downsample else 1
            layer = conv("conv", start, channels, norm, stride=stride, activation=activation)
            blocks.append(Block(f"block{index}", (layer,)))
            start = layer.end
        return _network(tuple(blocks), norm, outputs, self.initialization, activation)


def pixels(image: Image) -> Extent:
    """The shape of an image, every pixel a position."""
    return Extent(image[0], image[1], 1, image[2])


_STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((64, 64), (128, 128)),
    8: ((64,), (64,), (128,), (128,), (256,), (256,), (512,), (512,)),
    16: tuple((channels,) for channels in (64, 128, 256, 512) for _ in range(4)),
}
"""By the number of blocks: for each block, the channels of its basic blocks.

With 16 blocks, they are the channels of its convolutions.
"""


class Resnet18(architectures.Resnet18):
    """ResNet-18 (He et al. 2016), cut into blocks as in Fournier et al. 2023."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, start, last_channels, blocks = grid_norm(self.normalization), pixels(image), 64, []
        unit, activation = _plain if self.blocks == 16 else _basic, working(self.activation)
        conv_norm = partial(conv, norm=norm, activation=activation)
        for index, stage in enumerate(_STAGES[self.blocks]):
            layers = self._stem_layers(start, conv_norm) if index == 0 else []
            for position, channels in enumerate(stage):
                source, entered = (layers[-1].name, layers[-1].end) if layers else (INPUT, start)
                convolution = partial(conv_norm, channels=self.scaled(channels))
                layers += unit(
                    position, source, entered, 1 + (channels != last_channels), convolution
                )
                last_channels = channels
            blocks.append(Block(f"block{index}", tuple(layers)))
            start = layers[-1].end
        return _network(tuple(blocks), norm, outputs, self.initialization, activation)

    def _stem_layers(self, start: Extent, made: Callable[..., Layer]) -> list[Layer]:
        channels = self.scaled(64)
        if self.stem == "cifar":
            return [made("stem", start, channels)]
        first = made("stem", start, channels, size=7, stride=2)
        return [first, largest("pool", first.end, size=3, stride=2)]


def _plain(
    position: int, source: str, start: Extent, stride: int, made: Callable[..., Layer]
) -> list[Layer]:
    return [made(f"conv{position + 1}", start, stride=stride)]


def _basic(
    position: int, source: str, start: Extent, stride: int, made: Callable[..., Layer]
) -> list[Layer]:
    """Two 3x3 convolutions and a shortcut; if the shape changes, it is a 1x1 convolution."""
    options: dict[str, Any] = {"stride": stride, "source": source}
    first = made(f"conv{2 * position + 1}", start, **options)
    if first.end == start:
        shortcut, skip = [], source
    else:
        options |= {"size": 1, "activation": NoActivation()}
        shortcut = [made(f"shortcut{position + 1}", start, **options)]
        skip = shortcut[0].name
    second = made(f"conv{2 * position + 2}", first.end, adds=(skip,), source=first.name)
    return [*shortcut, first, second]


class Chain(architectures.Chain):
    """A network whose layers the spec lists one by one."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, (blocks, _) = grid_norm(self.normalization), self.laid_out(image)
        network_blocks = tuple(
            Block(f"block{index}", tuple(_placed(layer, norm) for layer in block))
            for index, block in enumerate(blocks)
        )
        return _network(network_blocks, norm, outputs, self.initialization, Relu())


def _placed(placed: PlacedLayer, norm: Norm | None) -> Layer:
    layer = placed.layer
    after = norm if layer.normalized else None
    return Layer(
        placed.name,
        working(layer.alone()),
        placed.start,
        after=after,
        source=layer.source,
        adds=layer.adds,
        activation=working(layer.activation),
        bias=layer.biased(shifted=after is not None and after.affine),
    )
