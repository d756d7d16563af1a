"""The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929)."""

from compiler.network.activations import NoActivation
from compiler.network.network import Network
from compiler.network.patch_networks import alike, cut
from compiler.network.pre_norm import branch, readouts
from compiler.network.shapes import Layer
from fgspec.spec import vit
from fgspec.spec.attention import AttentionLayer, EmbeddingLayer
from fgspec.spec.kinds import working
from fgspec.spec.layers import DenseLayer
from fgspec.spec.shapes import INPUT

Image = tuple[int, int, int]


class Vit(vit.Vit):
    """A vision transformer; the first block makes the tokens."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        first, start = self.readout == "class_token", cut(image, self.patches)
        tokens = EmbeddingLayer(
            channels=self.channels,
            groups=self.heads,
            class_token=first,
            positions=self.positions,
        )
        # Without a bias, as in equation 1.
        embed = Layer("embed", tokens, start, activation=NoActivation(), bias=False)
        return Network(
            blocks=alike(self.blocks, (embed,), self._layers),
            initialization=working(self.initialization),
            activation=working(self.activation),
            **readouts(self.normalization, self.extent, outputs, first),
        )

    def _layers(self, entering: str) -> list[Layer]:
        """Attention and a two-layer perceptron, each added to what enters it (equations 2, 3).

        Args:
            entering: the layer of the block that gives the tokens.
        """
        norm, start, heads, none = self.normalization, self.extent, self.heads, NoActivation()
        source = None if entering == INPUT else entering
        three = DenseLayer(channels=3 * self.channels, groups=heads)
        wide = DenseLayer(channels=self.wide, groups=heads)
        back = DenseLayer(channels=self.channels, groups=heads)
        layers = branch(norm, "norm1", start, source, "qkv", three)
        attend = Layer("attend", AttentionLayer(), layers[-1].end, activation=none)
        project = Layer("project", back, attend.end, adds=(entering,), activation=none)
        layers += [attend, project]
        layers += branch(norm, "norm2", start, None, "hidden", wide, working(self.activation))
        return [*layers, Layer("out", back, layers[-1].end, adds=("project",), activation=none)]
