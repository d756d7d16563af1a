"""The networks of patches or vectors: LocalMixer and multilayer perceptrons."""

import itertools
from dataclasses import replace
from typing import Any

from compiler.network.block import Block
from compiler.network.extend import averaging, full
from compiler.network.network import Network
from compiler.network.norms import Norm
from compiler.network.patch_networks import cut
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec import architectures, layers
from fgspec.spec.activations import Activation
from fgspec.spec.kinds import working
from fgspec.spec.normalizations import TokenNormalization
from fgspec.spec.shapes import INPUT, Extent, flat

Image = tuple[int, int, int]


def _norm(spec: TokenNormalization, wanted: bool, grouped: bool = False) -> Norm | None:
    """The normalization at one place, or None; around a grouped layer it stays in each group."""
    normalization = working(spec.type)
    if not normalization.normalizes or not wanted:
        return None
    over = (
        normalization.over_in_group
        if grouped and normalization.over_in_group is not None
        else normalization.over
    )
    return Norm(over, spec.epsilon, how=normalization)


def _layer(
    name: str,
    kind: layers.Layer,
    start: Extent,
    norm: TokenNormalization,
    activation: Activation,
    begins: bool = False,
    grouped: bool = False,
    first: bool = False,
) -> Layer:
    """A layer with the normalizations around it; `first` says that it is in the first block.

    The first layer of a block is normalized once, whether `begin_block`, `before_linear` or both
    ask for it. A second normalization would change only how often epsilon is added, and the arrays
    of Ren et al. show one.
    """
    return Layer(
        name,
        working(kind),
        start,
        before=_norm(norm, norm.before(begins, first), grouped),
        after=_norm(norm, "after_linear" in norm.placement, grouped),
        activation=activation,
    )


def _readouts(spec: TokenNormalization, features: Extent, outputs: int) -> dict[str, Any]:
    """The arguments of `Network` that concern readouts.

    The classifier is a linear map of the normalized average over patches (Ren et al. 2022, figure
    1).
    """
    norm = _norm(spec, spec.reads("classifier"))
    # The hidden layers of heads have no groups: under batch norm they are then those of Fournier
    # et al., and under layer norm no example depends on another.
    hidden = _norm(spec, True)
    return {
        "head_norm": _norm(spec, spec.reads("heads"), grouped=True),
        "auxiliary_norm": replace(hidden, affine=True) if hidden is not None else None,
        "classifier": Readout((full("linear", flat(features.width), outputs, before=norm),)),
    }


class LocalMixer(architectures.LocalMixer):
    """LocalMixer (Ren et al. 2022, figures 1 and 2), with further stages if the spec has any."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        start, norm = cut(image, self.patches), self.normalization
        hidden, groups = self.hidden or self.channels, self.groups
        end = start.grouped(self.channels, groups)
        first = self._channels(start, end, hidden, begins=True)
        blocks, later = [first], self._mixed(end, end, hidden)
        blocks += [later] * (self.blocks - 1)
        for stage in self.stages:
            hidden *= stage.channel_ratio
            start, groups = end, groups * stage.group_ratio
            end = start.grouped(start.width * stage.channel_ratio, groups)
            end = end.grid(start.rows // stage.downsample, start.columns // stage.downsample)
            later = self._mixed(end, end, hidden)
            blocks += [self._mixed(start, end, hidden), *[later] * (stage.blocks - 1)]
        return Network(
            blocks=tuple(
                Block(f"block{b}", layers_of_block) for b, layers_of_block in enumerate(blocks)
            ),
            initialization=working(self.initialization),
            activation=working(self.activation),
            **_readouts(norm, end, outputs),
        )

    def _channels(
        self, start: Extent, end: Extent, hidden: int, begins: bool = False
    ) -> tuple[Layer, ...]:
        """The channel layer and the grouped layer of a block."""
        norm, activation = self.normalization, working(self.activation)
        dense = layers.DenseLayer(channels=hidden, groups=end.groups)
        grouped = layers.GroupedLayer(channels=end.width)
        # Only the first block begins with this layer; all others begin with that of tokens.
        channel = _layer("channel", dense, start, norm, activation, begins, first=begins)
        return channel, _layer("group", grouped, channel.end, norm, activation, grouped=True)

    def _mixed(self, start: Extent, end: Extent, hidden: int) -> tuple[Layer, ...]:
        """A block after the first; it averages patches if its output has a coarser grid."""
        within = start.grid(end.rows, end.columns)
        pool = (averaging("pool", start, (end.rows, end.columns)),) if within != start else ()
        dense = self.token_mixing == "dense"
        kind = layers.TokenLayer() if dense else layers.DepthwiseLayer()
        activation = working(self.activation)
        token = _layer("token", kind, within, self.normalization, activation, True)
        channel, group = self._channels(within, end, hidden)
        skip = (pool[0].name if pool else INPUT,) if within == end else ()
        return (*pool, token, channel, replace(group, adds=skip))


class Mlp(architectures.Mlp):
    """A multilayer perceptron on the flattened image; every block is one dense layer."""

    def network(self, image: Image, outputs: int) -> Network:
        """The network for images (height, width, colours) and so many outputs."""
        norm, activation = self.normalization, working(self.activation)
        extents = [flat(width) for width in (image[0] * image[1] * image[2], *self.hidden)]
        dense_layers = [
            _layer(
                "dense",
                layers.DenseLayer(channels=end.width),
                start,
                norm,
                activation,
                begins=True,
                first=not index,
            )
            for index, (start, end) in enumerate(itertools.pairwise(extents))
        ]
        return Network(
            blocks=tuple(
                Block(f"block{b}", (replace(layer, bias=self.bias),))
                for b, layer in enumerate(dense_layers)
            ),
            initialization=working(self.initialization),
            activation=activation,
            **_readouts(norm, extents[-1], outputs),
        )
