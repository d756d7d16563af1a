"""Spec -> `Network`: one function an architecture, and one table row."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from compiler.axes import Axis
from compiler.network.block import Block
from compiler.network.network import Network
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.network.shapes import INPUT, Extent, Layer
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


def _averaging(spec: Normalization, features: Extent, outputs: int) -> Readout:
    """A linear classifier of the normalized average over patches (Ren et al. 2022, figure 1)."""
    shapes = (Extent(1, 1, 1, features.groups * features.channels), Extent(1, 1, 1, outputs))
    norm = _norm(spec, spec.readout)
    return Readout((Layer("linear", "full", *shapes, before=norm, activation="none"),))


def local_mixer(spec: LocalMixer, image: tuple[int, int, int], outputs: int) -> Network:
    """LocalMixer (Ren et al. 2022, figures 1 and 2).

    Args:
        spec: the section `architecture`.
        image: height, width and colours, in pixels.
        outputs: of the classifier.
    """
    height, width, colours = image
    side, norm = spec.patches, spec.normalization
    pixels = Extent(side, side, 1, height // side * (width // side) * colours)
    features = Extent(side, side, spec.groups, spec.channels // spec.groups)
    within = (features, features)
    group = _layer("group", "grouped", within, norm)
    first = Block("block0", (_layer("channel", "dense", (pixels, features), norm, True), group))
    token = _layer("token", "token", within, norm, True)
    chain = (token, _layer("channel", "dense", within, norm), replace(group, adds=(INPUT,)))
    return Network(
        blocks=(first, *(Block(f"block{b}", chain) for b in range(1, spec.blocks))),
        head_norm=_norm(norm, norm.readout, grouped=True),
        classifier=_averaging(norm, features, outputs),
        initialization=spec.initialization,
    )


def mlp(spec: Mlp, image: tuple[int, int, int], outputs: int) -> Network:
    """A perceptron: one dense layer a block, on the flattened image (one patch, one group)."""
    norm = spec.normalization
    widths = [image[0] * image[1] * image[2], *spec.hidden]
    extents = [Extent(1, 1, 1, width) for width in widths]
    blocks = tuple(
        Block(f"block{b}", (_layer("dense", "dense", shapes, norm, True),))
        for b, shapes in enumerate(itertools.pairwise(extents))
    )
    classifier = _averaging(norm, extents[-1], outputs)
    return Network(blocks, _norm(norm, norm.readout), classifier, spec.initialization)


ARCHITECTURES: dict[str, Callable[[Any, tuple[int, int, int], int], Network]] = {
    "local_mixer": local_mixer,
    "mlp": mlp,
}
"""(spec, image shape, outputs) -> network, by `architecture.type`."""
