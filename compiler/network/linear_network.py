"""A network without hidden layers: the linear probe of the inputs."""

from math import prod

from compiler.network.activations import NoActivation
from compiler.network.block import Block
from compiler.network.extend import full
from compiler.network.network import Network
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import layers, linear_network
from fgspec.spec.kinds import working
from fgspec.spec.shapes import flat


class LinearNetwork(linear_network.LinearNetwork):
    """One block that passes on the flattened image, and a linear classifier."""

    def network(self, image: tuple[int, int, int], outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        pixels = flat(prod(image))
        identity = working(layers.IdentityLayer())
        passing = Layer("pixels", identity, pixels, activation=NoActivation())
        return Network(
            blocks=(Block("block0", (passing,)),),
            head_norm=None,
            auxiliary_norm=None,
            classifier=Readout((full("linear", pixels, outputs),)),
            initialization=working(self.initialization),
        )
