"""Spec -> `Network`: one function an architecture, and one table row."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from compiler.axes import Axis
from compiler.network.layers import Layer, Norm
from compiler.network.network import Block, Network
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
    name: str,
    kind: str,
    shapes: tuple[tuple[int, int, int], tuple[int, int, int]],
    norm: Normalization,
    begins: bool = False,
) -> Layer:
    """A layer from one shape [p, g, c] to another.

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


def local_mixer(spec: LocalMixer, image: tuple[int, int, int]) -> Network:
    """LocalMixer (Ren et al. 2022, figures 1 and 2).

    Args:
        spec: the section `architecture`.
        image: height, width and colours, in pixels.
    """
    height, width, colours = image
    tokens, norm = spec.patches**2, spec.normalization
    pixels = (tokens, 1, height // spec.patches * (width // spec.patches) * colours)
    features = (tokens, spec.groups, spec.channels // spec.groups)
    within = (features, features)
    group = _layer("group", "grouped", within, norm)
    first = Block("block0", (_layer("channel", "dense", (pixels, features), norm, True), group))
    token = _layer("token", "token", within, norm, True)
    chain = (token, _layer("channel", "dense", within, norm), replace(group, residual=True))
    return Network(
        patches=spec.patches,
        blocks=(first, *(Block(f"block{b}", chain) for b in range(1, spec.blocks))),
        head_norm=_norm(norm, norm.readout, grouped=True),
        classifier_norm=_norm(norm, norm.readout),
        initialization=spec.initialization,
    )


def mlp(spec: Mlp, image: tuple[int, int, int]) -> Network:
    """A perceptron: one dense layer a block, on the flattened image (one patch, one group)."""
    norm = spec.normalization
    widths = [image[0] * image[1] * image[2], *spec.hidden]
    shapes = [((1, 1, a), (1, 1, b)) for a, b in itertools.pairwise(widths)]
    blocks = tuple(
        Block(f"block{b}", (_layer("dense", "dense", shape, norm, True),))
        for b, shape in enumerate(shapes)
    )
    readout = _norm(norm, norm.readout)
    return Network(1, blocks, readout, readout, spec.initialization)


ARCHITECTURES: dict[str, Callable[[Any, tuple[int, int, int]], Network]] = {
    "local_mixer": local_mixer,
    "mlp": mlp,
}
