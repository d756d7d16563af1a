"""What must agree within an architecture, one small check each; run by `consistency`."""

import math
from collections.abc import Iterator
from typing import Any

from fgspec.diagnostics import Problem
from fgspec.spec.architecture import (
    Architecture,
    Chain,
    ConvNet,
    ConvNormalization,
    LocalMixer,
    Normalization,
    Resnet18,
)
from fgspec.spec.coupling import Coupling
from fgspec.spec.losses import LossAxis, Losses
from fgspec.yaml12 import Path

LOSS_AXES: dict[str, tuple[LossAxis, ...]] = {
    "local_mixer": ("patch", "group"),
    "mlp": (),
    "conv_net": ("patch",),
    "resnet18": ("patch",),
    "chain": ("patch", "group"),
}
"""The axes that a loss can be replicated over, by architecture."""


def coupling(architecture: Architecture, losses: Losses) -> Coupling | None:
    """What couples the examples of a batch, if anything does."""
    if architecture.normalization.type == "batch_norm":
        return Coupling("batch_norm", ("architecture", "normalization", "type"))
    return losses.objective.coupling()


def divisors(number: int, near: int) -> str:
    """The divisors of `number` nearest to `near`, as a remedy says them."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    every = {*small, *(number // d for d in small)}
    found = sorted(sorted(every, key=lambda d: abs(d - near))[:3])
    return f"nearest: {', '.join(map(str, found))}"


def block_count(architecture: Architecture) -> tuple[int, Path]:
    """How many blocks there are, and the field that says so."""
    if isinstance(architecture, LocalMixer):
        later = sum(stage.blocks for stage in architecture.stages)
        return architecture.blocks + later, ("architecture", "blocks")
    if isinstance(architecture, Resnet18):
        return architecture.blocks, ("architecture", "blocks")
    field = {"mlp": "hidden", "conv_net": "channels", "chain": "blocks"}[architecture.type]
    return len(getattr(architecture, field)), ("architecture", field)


def groups(architecture: Architecture) -> Iterator[Problem]:
    """Channels fall into equal groups, in every stage."""
    if not isinstance(architecture, LocalMixer):
        return
    path: Path = ("architecture", "groups")
    count = architecture.groups
    for field in ("channels", "hidden"):
        channels = getattr(architecture, field)
        if channels is not None and channels % count:
            message = f"must divide {field}; {divisors(channels, count)}"
            yield Problem(path, message, others=(("architecture", field),))


def stages(architecture: Architecture) -> Iterator[Problem]:
    """Every stage cuts the grid of patches and the channels into equal parts."""
    if not isinstance(architecture, LocalMixer):
        return
    side, channels = architecture.patches, architecture.channels
    hidden, count = architecture.hidden or channels, architecture.groups
    for index, stage in enumerate(architecture.stages):
        at: Path = ("architecture", "stages", index)
        if side % stage.downsample:
            near = divisors(side, stage.downsample)
            message = f"must divide the {side} patches per side before it; {near}"
            yield Problem((*at, "downsample"), message, others=(("architecture", "patches"),))
            return
        side //= stage.downsample
        channels, hidden = channels * stage.channel_ratio, hidden * stage.channel_ratio
        count *= stage.group_ratio
        common = math.gcd(channels, hidden)
        if common % count and common % (count // stage.group_ratio) == 0:
            message = f"makes {count} groups, which must divide the {common} channels of the stage"
            yield Problem((*at, "group_ratio"), message)
            return


def normalization(architecture: Architecture) -> Iterator[Problem]:
    """A normalization that is not there has no options."""
    norm = architecture.normalization
    if isinstance(norm, ConvNormalization):
        yield from _conv_normalization(norm)
        return
    base: Path = ("architecture", "normalization")
    plain = Normalization()
    if norm.type == "none":
        for field in ("placement", "readout", "gradient"):
            if getattr(norm, field) != getattr(plain, field):
                message = "never read without a normalization; remove it"
                yield Problem((*base, field), message, others=((*base, "type"),))
    elif not norm.placement and not norm.readout:
        yield Problem(base, "normalizes nothing; name a placement or say type: none", False)
    elif norm.gradient == "ignored" and "after_linear" not in norm.placement:
        message = "never read without a normalization after_linear; remove it"
        yield Problem((*base, "gradient"), message, others=((*base, "placement"),))
    if len(set(norm.placement)) < len(norm.placement):
        yield Problem((*base, "placement"), "names a place twice")


def _conv_normalization(norm: ConvNormalization) -> Iterator[Problem]:
    base: Path = ("architecture", "normalization")
    unread = {"affine", "parts", "gradient"} if norm.type == "none" else {"parts"}
    for field in sorted(unread - ({"parts"} if norm.type == "group_norm" else set())):
        if getattr(norm, field) != getattr(ConvNormalization(), field):
            message = f"never read under {norm.type}; remove it"
            yield Problem((*base, field), message, others=((*base, "type"),))


def parts(architecture: Architecture) -> Iterator[Problem]:
    """Group norms cut channels into equal parts."""
    norm = architecture.normalization
    if not isinstance(norm, ConvNormalization) or norm.type != "group_norm":
        return
    wrong = [width for width in _widths(architecture) if width % norm.parts]
    if wrong:
        message = f"must divide {wrong[0]} channels; {divisors(wrong[0], norm.parts)}"
        yield Problem(("architecture", "normalization", "parts"), message)


def _widths(architecture: Any) -> list[int]:
    """The channels that are normalized, where they are known without the data."""
    if isinstance(architecture, Resnet18):
        return [max(1, round(width * architecture.width)) for width in (64, 128, 256, 512)]
    if isinstance(architecture, ConvNet):
        return list(architecture.channels)
    layers = [layer for block in architecture.blocks for layer in block]
    return [layer.channels for layer in layers if hasattr(layer, "channels") and layer.normalize]


def downsampling(architecture: Architecture) -> Iterator[Problem]:
    """A convolution that is said to downsample exists."""
    if isinstance(architecture, ConvNet):
        count = len(architecture.channels)
        for index, at in enumerate(architecture.downsample):
            if at >= count:
                message = f"must be less than {count}, the number of convolutions"
                path: Path = ("architecture", "downsample", index)
                yield Problem(path, message, others=(("architecture", "channels"),))


def token_mixing(architecture: Architecture) -> Iterator[Problem]:
    """The first block mixes no tokens."""
    if not isinstance(architecture, LocalMixer) or block_count(architecture)[0] > 1:
        return
    if architecture.token_mixing != LocalMixer().token_mixing:
        message = "never read: the first block has no token mixing; remove it"
        path: Path = ("architecture", "token_mixing")
        yield Problem(path, message, others=(("architecture", "blocks"),))


def layer_names(architecture: Architecture) -> Iterator[Problem]:
    """Layers of a chain name earlier layers of their block, and themselves by different names."""
    if not isinstance(architecture, Chain):
        return
    for b, block in enumerate(architecture.blocks):
        known = ["input"]
        for index, layer in enumerate(block):
            at: Path = ("architecture", "blocks", b, index)
            name = layer_name(layer, index)
            if name in known:
                say = f"the block has a layer {name} already" if name != "input" else "is reserved"
                yield Problem((*at, "name"), f"{say}; name it otherwise")
            if layer.source is not None and layer.source not in known:
                message = f"no such layer before it; known: {', '.join(known)}"
                yield Problem((*at, "source"), message)
            for place, other in enumerate(layer.adds):
                if other not in known:
                    message = f"no such layer before it; known: {', '.join(known)}"
                    yield Problem((*at, "adds", place), message)
            known.append(name)


def layer_name(layer: Any, index: int) -> str:
    """The name of the layer of a chain at a place of its block."""
    return layer.name or f"{layer.type}{index}"


def trained(architecture: Architecture) -> Iterator[Problem]:
    """Every block of a chain has something to learn."""
    if isinstance(architecture, Chain):
        for b, block in enumerate(architecture.blocks):
            if all(layer.type in ("max_pool", "average_pool") for layer in block):
                path: Path = ("architecture", "blocks", b)
                message = "has no parameters; put its layers into the next block or the one before"
                yield Problem(path, message, False)


STRUCTURE = (
    groups,
    stages,
    normalization,
    parts,
    downsampling,
    token_mixing,
    layer_names,
    trained,
)
"""The checks of an architecture by itself."""
