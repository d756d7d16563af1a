"""Spec -> `Network`: one function an architecture, and one table row."""

from collections.abc import Callable
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


def _norm(spec: Normalization, place: str, grouped: bool = False) -> Norm | None:
    """The normalization at one place, if there is one; grouped places are local to the group."""
    wanted = spec.readout if place == "readout" else place in spec.placement
    if spec.type == "none" or not wanted:
        return None
    if grouped and spec.type == "local_layer_norm":
        return Norm(("channel",))
    return Norm(_OVER[spec.type])


def _layer(
    name: str,
    kind: str,
    inputs: tuple[int, int, int],
    outputs: tuple[int, int, int],
    norm: Normalization,
) -> Layer:
    grouped = kind == "grouped"
    before, after = (_norm(norm, f"{side}_linear", grouped) for side in ("before", "after"))
    return Layer(name, kind, inputs, outputs, before, after)


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
    grouped = _layer("group", "grouped", features, features, norm)
    residual = Layer(
        "group", "grouped", features, features, grouped.before, grouped.after, residual=True
    )
    token = _layer("token", "token", features, features, norm)
    begin = _norm(norm, "begin_block")
    first = Block("block0", (_layer("channel", "dense", pixels, features, norm), grouped), begin)
    channel = _layer("channel", "dense", features, features, norm)
    rest = [Block(f"block{b}", (token, channel, residual), begin) for b in range(1, spec.blocks)]
    return Network(
        patches=spec.patches,
        blocks=(first, *rest),
        head_norm=_norm(norm, "readout", grouped=True),
        classifier_norm=_norm(norm, "readout"),
        initialization=spec.initialization,
    )


def mlp(spec: Mlp, image: tuple[int, int, int]) -> Network:
    """A perceptron: one dense layer a block, on the flattened image (one patch, one group)."""
    norm = spec.normalization
    widths = [image[0] * image[1] * image[2], *spec.hidden]
    blocks = tuple(
        Block(
            f"block{b}",
            (_layer("dense", "dense", (1, 1, before), (1, 1, after), norm),),
            _norm(norm, "begin_block"),
        )
        for b, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
    )
    readout = _norm(norm, "readout")
    return Network(1, blocks, readout, readout, spec.initialization)


ARCHITECTURES: dict[str, Callable[[Any, tuple[int, int, int]], Network]] = {
    "local_mixer": local_mixer,
    "mlp": mlp,
}
