"""Networks on a grid of positions: convolutions in a row, ResNet-18, and chains of any layers."""

from dataclasses import replace
from typing import Any

from compiler.layout import Placed, laid_out
from compiler.named_arrays.axes import Axis
from compiler.network.block import Block
from compiler.network.extend import averaging, conv, full, largest, normalized
from compiler.network.extent import INPUT, Extent
from compiler.network.network import Network
from compiler.network.norms import Norm
from compiler.network.readout import Readout
from compiler.network.shapes import Layer
from fgspec.spec.architecture import Chain, ConvNet, ConvNormalization, Resnet18

_OVER: dict[str, tuple[Axis, ...]] = {
    "batch_norm": ("batch", "patch"),
    "layer_norm": ("patch", "group", "channel"),
    "group_norm": ("patch", "channel"),
}


def _norm(spec: ConvNormalization) -> Norm | None:
    if spec.type == "none":
        return None
    parts = spec.parts if spec.type == "group_norm" else 1
    return Norm(_OVER[spec.type], spec.epsilon, spec.affine, parts)


def _whole(norm: Norm | None) -> Norm | None:
    """The norm for what may not have the parts of a group norm: over all channels."""
    whole = replace(norm, over=_OVER["layer_norm"], split=1) if norm is not None else None
    return norm if norm is None or norm.running else whole


def _network(
    blocks: tuple[Block, ...], norm: Norm | None, outputs: int, initialization: str
) -> Network:
    """With a classifier that normalizes, averages over positions and is linear."""
    end, own = blocks[-1].end, _whole(norm)
    pool = averaging("pool", end)
    before = (normalized("norm", end, own),) if own is not None else ()
    layers = (*before, pool, full("linear", pool.end, outputs))
    classifier = Readout(layers, averages=False)
    return Network(blocks, None, own, classifier, initialization)


def conv_net(spec: ConvNet, image: tuple[int, int, int], outputs: int) -> Network:
    """3x3 convolutions, one a block (Fournier et al. 2023)."""
    norm, start, blocks = _norm(spec.normalization), _pixels(image), []
    for index, channels in enumerate(spec.channels):
        stride = 2 if index in spec.downsample else 1
        layer = conv("conv", start, channels, norm, stride=stride)
        blocks.append(Block(f"block{index}", (layer,)))
        start = layer.end
    return _network(tuple(blocks), norm, outputs, spec.initialization)


def _pixels(image: tuple[int, int, int]) -> Extent:
    return Extent(image[0], image[1], 1, image[2])


_STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((64, 64), (128, 128)),
    8: ((64,), (64,), (128,), (128,), (256,), (256,), (512,), (512,)),
    16: tuple((channels,) for channels in (64, 128, 256, 512) for _ in range(4)),
}
"""Channels of the basic blocks, or of the convolutions of 16, in every block."""


def resnet18(spec: Resnet18, image: tuple[int, int, int], outputs: int) -> Network:
    """ResNet-18 (He et al. 2016) cut into blocks (Fournier et al. 2023)."""
    norm, start, before, blocks = _norm(spec.normalization), _pixels(image), 64, []
    unit = _plain if spec.blocks == 16 else _basic
    for index, stage in enumerate(_STAGES[spec.blocks]):
        layers = _stem(spec, start, norm) if index == 0 else []
        for at, channels in enumerate(stage):
            entering = (layers[-1].name, layers[-1].end) if layers else (INPUT, start)
            layers += unit(at, entering, _scaled(spec, channels), 1 + (channels != before), norm)
            before = channels
        blocks.append(Block(f"block{index}", tuple(layers)))
        start = layers[-1].end
    return _network(tuple(blocks), norm, outputs, spec.initialization)


def _scaled(spec: Resnet18, channels: int) -> int:
    return max(1, round(channels * spec.width))


def _stem(spec: Resnet18, start: Extent, norm: Norm | None) -> list[Layer]:
    channels = _scaled(spec, 64)
    if spec.stem == "cifar":
        return [conv("stem", start, channels, norm)]
    first = conv("stem", start, channels, norm, size=7, stride=2)
    return [first, largest("pool", first.end, size=3, stride=2)]


def _plain(
    at: int, entering: tuple[str, Extent], channels: int, stride: int, norm: Norm | None
) -> list[Layer]:
    return [conv(f"conv{at + 1}", entering[1], channels, norm, stride=stride)]


def _basic(
    at: int, entering: tuple[str, Extent], channels: int, stride: int, norm: Norm | None
) -> list[Layer]:
    """Two 3x3 convolutions beside a shortcut, a 1x1 convolution where the shape changes."""
    name, start = entering
    odd: dict[str, Any] = {"stride": stride, "source": name}
    first = conv(f"conv{2 * at + 1}", start, channels, norm, **odd)
    if first.end == start:
        shortcut, skip = [], name
    else:
        odd |= {"size": 1, "activation": "none"}
        shortcut = [conv(f"shortcut{at + 1}", start, channels, norm, **odd)]
        skip = shortcut[0].name
    second = conv(f"conv{2 * at + 2}", first.end, channels, norm, adds=(skip,), source=first.name)
    return [*shortcut, first, second]


def chain(spec: Chain, image: tuple[int, int, int], outputs: int) -> Network:
    """The blocks of a spec, layer by layer."""
    norm, (blocks, _) = _norm(spec.normalization), laid_out(spec, image)
    made = tuple(
        Block(f"block{index}", tuple(_placed(layer, norm) for layer in block))
        for index, block in enumerate(blocks)
    )
    return _network(made, norm, outputs, spec.initialization)


def _placed(placed: Placed, norm: Norm | None) -> Layer:
    layer = placed.layer
    own = norm if getattr(layer, "normalize", False) else None
    bias = getattr(layer, "bias", None)
    return Layer(
        placed.name,
        layer.type,
        placed.start,
        placed.end,
        after=own,
        source=layer.source,
        adds=layer.adds,
        activation=layer.activation,
        bias=bias if bias is not None else own is None or not own.affine,
        size=getattr(layer, "size", 1),
        stride=getattr(layer, "stride", 1),
    )
