"""The ResNets of He et al. 2016 for small images, as blocks of basic blocks."""

from collections.abc import Callable
from functools import partial

from compiler.network.activations import NoActivation
from compiler.network.block import Block
from compiler.network.conv_nets import Image, grid_norm, over_all, pixels
from compiler.network.extend import averaging, conv, full
from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import cifar_resnet
from fgspec.spec.kinds import working
from fgspec.spec.shapes import INPUT, Extent
from fgspec.spec.shortcut_layer import ShortcutLayer

Convolution = Callable[..., Layer]
"""(name, start, channels, ...) -> a convolution, normalized and activated."""


class CifarResnet(cifar_resnet.CifarResnet):
    """ResNets of 6 n + 2 layers."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, activation = grid_norm(self.normalization), working(self.activation)
        made = partial(conv, norm=norm, activation=activation)
        start, units, blocks = pixels(image), list(self.units()), list[Block]()
        for index, count in enumerate(self.units_of_blocks()):
            layers: list[Layer] = []
            if index == 0:
                (channels, _), *units = units
                layers.append(made("stem", start, channels))
                count -= 1
            # Positions count from the start of a block, so that equal blocks have equal names.
            for position, (channels, stride) in enumerate(units[:count], start=1):
                source, entering = (layers[-1].name, layers[-1].end) if layers else (INPUT, start)
                layers += self._basic(position, source, entering, channels, stride, made)
            units = units[count:]
            blocks.append(Block(f"block{index}", tuple(layers)))
            start = layers[-1].end
        pool = averaging("pool", start)
        classifier = Readout((pool, full("linear", pool.end, outputs)), averages=False)
        initialization = working(self.initialization)
        in_heads = over_all(norm)
        return Network(tuple(blocks), None, in_heads, classifier, initialization, activation)

    def _basic(
        self,
        position: int,
        source: str,
        start: Extent,
        channels: int,
        stride: int,
        made: Convolution,
    ) -> list[Layer]:
        """Two 3x3 convolutions beside a shortcut.

        Args:
            position: counts the basic blocks of a block.
            source: the layer before.
            start: its shape.
            channels: of both convolutions.
            stride: of the first one.
            made: makes a convolution.
        """
        odd, even = f"conv{2 * position - 1}", f"conv{2 * position}"
        first = made(odd, start, channels, stride=stride, source=source)
        if first.end == start:
            return [first, made(even, first.end, channels, adds=(source,), source=odd)]
        name = f"shortcut{position}"
        beside = {"source": source, "activation": NoActivation()}
        if self.shortcut == "projection":
            shortcut = made(name, start, channels, size=1, stride=stride, **beside)
        else:
            kind = working(ShortcutLayer(channels=channels, stride=stride))
            shortcut = Layer(name, kind, start, **beside)
        return [shortcut, first, made(even, first.end, channels, adds=(name,), source=odd)]
