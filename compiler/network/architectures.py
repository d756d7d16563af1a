"""Spec -> `Network`: one function an architecture, and one table row."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from compiler.named_arrays.axes import Axis
from compiler.network.block import Block
from compiler.network.conv_nets import chain, conv_net, resnet18
from compiler.network.extend import averaging, full
from compiler.network.extent import INPUT, Extent, flat
from compiler.network.network import Network
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec.architecture import LocalMixer, Mlp, Normalization

_OVER: dict[str, tuple[Axis, ...]] = {
    "local_layer_norm": ("group", "channel"),
    "layer_norm": ("patch", "group", "channel"),
    "batch_norm": ("batch", "patch"),
}


def _norm(spec: Normalization, wanted: bool, grouped: bool = False) -> Norm | None:
    """The normalization at one place, if it is wanted there; grouped ones stay in their group."""
    if spec.type == "none" or not wanted:
        return None
    within = grouped and spec.type == "local_layer_norm"
    return Norm(("channel",) if within else _OVER[spec.type], spec.epsilon)


def _layer(
    name: str, kind: str, shapes: tuple[Extent, Extent], norm: Normalization, begins: bool = False
) -> Layer:
    """A layer from one shape to another.

    What begins a block is normalized once, whether `begin_block`, `before_linear` or both say so.
    """
    grouped = kind == "grouped"
    places = norm.placement
    before = "before_linear" in places or (begins and "begin_block" in places)
    return Layer(
        name,
        kind,
        *shapes,
        before=_norm(norm, before, grouped),
        after=_norm(norm, "after_linear" in places, grouped),
    )


def _readouts(spec: Normalization, features: Extent, outputs: int) -> dict[str, Any]:
    """What a network says of its readouts.

    The classifier is linear, of the normalized average over patches (Ren et al. 2022, figure 1).
    """
    norm = _norm(spec, spec.readout)
    hidden = _norm(spec, True)
    return {
        "head_norm": _norm(spec, spec.readout, grouped=True),
        "auxiliary_norm": replace(hidden, affine=True) if hidden is not None else None,
        "classifier": Readout((full("linear", flat(features.width), outputs, before=norm),)),
    }


def local_mixer(spec: LocalMixer, image: tuple[int, int, int], outputs: int) -> Network:
    """LocalMixer (Ren et al. 2022, figures 1 and 2), and further stages of it.

    Args:
        spec: the section `architecture`.
        image: height, width and colours, in pixels.
        outputs: of the classifier.
    """
    height, width, colours = image
    side, norm = spec.patches, spec.normalization
    start = Extent(side, side, 1, height // side * (width // side) * colours)
    hidden, groups = spec.hidden or spec.channels, spec.groups
    end = start.grouped(spec.channels, groups)
    layers = _channels(start, end, hidden, norm, begins=True)
    blocks, later = [layers], _mixed(spec, end, end, hidden)
    blocks += [later] * (spec.blocks - 1)
    for stage in spec.stages:
        hidden *= stage.channel_ratio
        start, groups = end, groups * stage.group_ratio
        end = start.grouped(start.width * stage.channel_ratio, groups)
        end = end.grid(start.rows // stage.downsample, start.columns // stage.downsample)
        later = _mixed(spec, end, end, hidden)
        blocks += [_mixed(spec, start, end, hidden), *[later] * (stage.blocks - 1)]
    return Network(
        blocks=tuple(Block(f"block{b}", own) for b, own in enumerate(blocks)),
        initialization=spec.initialization,
        **_readouts(norm, end, outputs),
    )


def _channels(
    start: Extent, end: Extent, hidden: int, norm: Normalization, begins: bool = False
) -> tuple[Layer, ...]:
    """The channel layer and the grouped one."""
    within = end.grouped(hidden, end.groups)
    channel = _layer("channel", "dense", (start, within), norm, begins)
    return (channel, _layer("group", "grouped", (within, end), norm))


def _mixed(spec: LocalMixer, start: Extent, end: Extent, hidden: int) -> tuple[Layer, ...]:
    """A block after the first; it averages patches where the grid of its end is coarser."""
    norm, within = spec.normalization, start.grid(end.rows, end.columns)
    pool = (averaging("pool", start, (end.rows, end.columns)),) if within != start else ()
    kind = _TOKEN_MIXING[spec.token_mixing]
    size = 3 if kind == "depthwise" else 1
    token = replace(_layer("token", kind, (within, within), norm, True), size=size)
    channel, group = _channels(within, end, hidden, norm)
    skip = (pool[0].name if pool else INPUT,) if within == end else ()
    return (*pool, token, channel, replace(group, adds=skip))


_TOKEN_MIXING = {"dense": "token", "depthwise": "depthwise"}
"""Kinds of layers by `architecture.token_mixing`."""


def mlp(spec: Mlp, image: tuple[int, int, int], outputs: int) -> Network:
    """A perceptron: one dense layer a block, on the flattened image (one patch, one group)."""
    norm = spec.normalization
    extents = [flat(width) for width in (image[0] * image[1] * image[2], *spec.hidden)]
    made = (_layer("dense", "dense", pair, norm, True) for pair in itertools.pairwise(extents))
    return Network(
        blocks=tuple(
            Block(f"block{b}", (replace(layer, bias=spec.bias),)) for b, layer in enumerate(made)
        ),
        initialization=spec.initialization,
        **_readouts(norm, extents[-1], outputs),
    )


ARCHITECTURES: dict[str, Callable[[Any, tuple[int, int, int], int], Network]] = {
    "local_mixer": local_mixer,
    "mlp": mlp,
    "conv_net": conv_net,
    "resnet18": resnet18,
    "chain": chain,
}
"""(spec, image shape, outputs) -> network, by `architecture.type`."""
