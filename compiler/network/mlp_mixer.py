"""The MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601)."""

from compiler.network.activations import NoActivation
from compiler.network.network import Network
from compiler.network.patch_networks import alike, cut
from compiler.network.pre_norm import branch, readouts
from compiler.network.shapes import Layer
from fgspec.spec import mlp_mixer
from fgspec.spec.kinds import working
from fgspec.spec.layers import DenseLayer, TokenLayer
from fgspec.spec.shapes import INPUT

Image = tuple[int, int, int]


class MlpMixer(mlp_mixer.MlpMixer):
    """An MLP-Mixer; the first block maps the pixels of patches to channels."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        dense = DenseLayer(channels=self.channels, groups=self.groups)
        embed = Layer("embed", dense, cut(image, self.patches), activation=NoActivation())
        return Network(
            blocks=alike(self.blocks, (embed,), self._layers),
            initialization=working(self.initialization),
            activation=working(self.activation),
            **readouts(self.normalization, self.extent, outputs),
        )

    def _layers(self, entering: str) -> list[Layer]:
        """Two layers over patches, two over channels, each pair added to what enters it.

        Args:
            entering: the layer of the block that gives what enters the first pair.
        """
        norm, start, none = self.normalization, self.extent, NoActivation()
        activation = working(self.activation)
        source = None if entering == INPUT else entering
        more = TokenLayer(grid=(1, self.between))
        as_many = TokenLayer(grid=(start.rows, start.columns))
        wide = DenseLayer(channels=self.wide, groups=self.groups)
        back = DenseLayer(channels=self.channels, groups=self.groups)
        layers = branch(norm, "norm1", start, source, "tokens", more, activation)
        mixed = Layer("token", as_many, layers[-1].end, adds=(entering,), activation=none)
        layers += [mixed, *branch(norm, "norm2", start, None, "channels", wide, activation)]
        return [*layers, Layer("channel", back, layers[-1].end, adds=("token",), activation=none)]
