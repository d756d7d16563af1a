"""VGG as blocks of a convolution each."""

from compiler.network.block import Block
from compiler.network.conv_nets import Image, grid_norm, over_all, pixels
from compiler.network.extend import conv, full, largest
from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import vgg
from fgspec.spec.kinds import working
from fgspec.spec.shapes import Extent


def _pooled(start: Extent) -> Layer:
    return largest("pool", start, size=2, stride=2)


class Vgg(vgg.Vgg):
    """VGG-8, VGG-11 and VGG-16."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, activation = grid_norm(self.normalization), working(self.activation)
        start, blocks = pixels(image), list[Block]()
        for index, step in enumerate(self.steps(image)):
            before = (_pooled(start),) if step.pools else ()
            entering = before[0].end if before else start
            if step.convolves:
                layer = conv("conv", entering, step.width, norm, activation=activation)
            else:
                # As for convolutions, a learnt shift after the map takes the place of its bias.
                options = {"after": norm, "bias": norm is None, "activation": activation}
                layer = full("hidden", entering, step.width, **options)
            blocks.append(Block(f"block{index}", (*before, layer)))
            start = layer.end
        pool = (_pooled(start),) if not self.units and vgg.can_pool(start) else ()
        read = pool[0].end if pool else start
        classifier = Readout((*pool, full("linear", read, outputs)), averages=False)
        initialization = working(self.initialization)
        in_heads = over_all(norm)
        return Network(tuple(blocks), None, in_heads, classifier, initialization, activation)
