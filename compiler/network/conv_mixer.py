"""The ConvMixer (Trockman and Kolter 2022, arXiv 2201.09792)."""

from compiler.network.conv_nets import grid_norm, over_all
from compiler.network.extend import averaging, full, normalized
from compiler.network.network import Network
from compiler.network.patch_networks import alike, cut
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import conv_mixer
from fgspec.spec.kinds import working
from fgspec.spec.layers import DenseLayer, DepthwiseLayer
from fgspec.spec.shapes import Extent

Image = tuple[int, int, int]


class ConvMixer(conv_mixer.ConvMixer):
    """A ConvMixer; the first block maps the pixels of patches to channels."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        pool = averaging("pool", self.extent)
        first = self._map("embed", cut(image, self.patches))
        return Network(
            blocks=alike(self.blocks, first, self._layers),
            head_norm=None,
            auxiliary_norm=over_all(grid_norm(self.normalization)),
            classifier=Readout((pool, full("linear", pool.end, outputs)), averages=False),
            initialization=working(self.initialization),
            activation=working(self.activation),
        )

    def _map(self, name: str, start: Extent) -> list[Layer]:
        """A linear map of the channels of every patch, its activation and normalization."""
        dense = DenseLayer(channels=self.channels, groups=self.groups)
        mapped = Layer(name, dense, start, activation=working(self.activation))
        norm = grid_norm(self.normalization)
        return [mapped] if norm is None else [mapped, normalized(f"{name}_norm", mapped.end, norm)]

    def _layers(self, entering: str) -> list[Layer]:
        """The convolution with its residual, then the map of channels.

        Args:
            entering: the layer of the block that gives what enters the convolution.
        """
        window, norm = DepthwiseLayer(size=self.size), grid_norm(self.normalization)
        spread = Layer("depthwise", window, self.extent, activation=working(self.activation))
        # A layer of its own, as the activation stands before the normalization and the residual.
        added = normalized("depthwise_norm", spread.end, norm, adds=(entering,))
        return [spread, added, *self._map("pointwise", self.extent)]
