"""The architectures, from their sizes alone (semantics A1, B2)."""

from dataclasses import replace

from oracle.layers import Layer, Over
from oracle.network import INPUT, Block, Network, Readout


def norm_axes(kind, layer="dense"):
    """Normalization of [n, p, g, c]; local ones are per group at grouped layers."""
    if kind == "none":
        return None
    if kind == "local_layer_norm":
        return Over((3,) if layer == "grouped" else (2, 3))
    return Over({"layer_norm": (1, 2, 3), "batch_norm": (0, 1)}[kind])


def make_network(chain, norm="none", places=(), readout=True, eps=1e-5, grid=(1, 1)):
    """A network of `chain`: [(block, residual, [(layer, kind), ...]), ...].

    Begin of the block and before its first linear layer are one place: the golden arrays are
    normalized there once (1 - var of `state/block_1.pre_0` is eps / (var + eps), not eps).
    """
    blocks = []
    for name, residual, kinds in chain:
        layers = []
        for index, (layer, kind) in enumerate(kinds):
            before = "before_linear" in places or ("begin_block" in places and not index)
            own = norm_axes(norm, kind)
            adds = (INPUT,) if residual and index == len(kinds) - 1 else ()
            after = own if "after_linear" in places else None
            norms = {"before": own if before else None, "after": after}
            more = {"adds": adds, "grid": grid, "end": grid}
            layers.append(Layer(f"{name}/{layer}", kind, **norms, **more))
        blocks.append(Block(name, tuple(layers)))
    last = Layer("classifier", "full", norm_axes(norm) if readout else None, relu=False)
    head = norm_axes(norm, "grouped") if readout else None
    final = replace(last, path="heads/final")
    readouts = (("classifier", Readout((last,))), ("heads/final", Readout((final,))))
    return Network(tuple(blocks), readouts, head, eps)


def local_mixer(blocks, **norm):
    """LocalMixer (A1): the first block has no token mixing and no residual."""
    kinds = [("channel", "dense"), ("group", "grouped")]
    later = [("token", "token"), *kinds]
    chain = [(f"block{b}", b > 0, later if b else kinds) for b in range(blocks)]
    return make_network(chain, **norm)


def mlp(blocks, **norm):
    """A perceptron: every block is one dense layer."""
    return make_network([(f"block{b}", False, [("dense", "dense")]) for b in range(blocks)], **norm)


def conv_norm(kind, affine=True, parts=1):
    """Normalization after a convolution."""
    axes = {"batch_norm": (0, 1), "layer_norm": (1, 2, 3), "group_norm": (1, 3)}
    own = parts if kind == "group_norm" else 1
    return None if kind == "none" else Over(axes[kind], own, affine)


def slid(grid, size, stride):
    """Rows and columns of the places of a window that slides over a grid."""
    return tuple((side + 2 * ((size - 1) // 2) - size) // stride + 1 for side in grid)


def windowed(path, kind, grid, size=3, stride=1, **more):
    """A convolution or a max pooling."""
    end = slid(grid, size, stride)
    return Layer(path, kind, grid=grid, end=end, size=size, stride=stride, **more)


def unparted(norm):
    """The normalization of a readout: over all channels, unless over the batch."""
    if norm is None or 0 in norm.axes:
        return norm
    return Over((1, 2, 3), 1, norm.affine)


def on_grid(blocks, norm, eps):
    """A network whose classifier normalizes, averages over positions and is linear."""
    grid = blocks[-1].layers[-1].end
    whole, readouts = unparted(norm), []
    for path in ("classifier", "heads/final"):
        own = Layer(f"{path}/norm", "identity", after=whole, relu=False, grid=grid, end=grid)
        pool = Layer(f"{path}/pool", "average_pool", relu=False, grid=grid)
        layers = (pool, Layer(f"{path}/linear", "full", relu=False))
        layers = (own, *layers) if norm is not None else layers
        readouts.append((path, Readout(layers, averages=False)))
    return Network(tuple(blocks), tuple(readouts), None, eps)


def conv_net(downsample, norm, eps, grid=(8, 8)):
    """Convolutions in a row, one a block; `downsample` says for each whether it has stride 2."""
    blocks = []
    for index, half in enumerate(downsample):
        layer = windowed(f"block{index}/conv", "conv", grid, stride=2 if half else 1, after=norm)
        blocks.append(Block(f"block{index}", (layer,)))
        grid = layer.end
    return on_grid(blocks, norm, eps)


STAGES = {
    2: ((64, 64), (128, 128)),
    8: ((64,), (64,), (128,), (128,), (256,), (256,), (512,), (512,)),
    16: ((64,),) * 4 + ((128,),) * 4 + ((256,),) * 4 + ((512,),) * 4,
}
"""Channels of the basic blocks (of the convolutions, if there are 16 blocks) of every block."""


def _basic(block, at, source, grid, half, norm):
    """Two 3x3 convolutions beside a shortcut, by a 1x1 convolution where it halves the grid."""
    first = windowed(
        f"{block}/conv{2 * at + 1}", "conv", grid, stride=1 + half, after=norm, source=source
    )
    if not half:
        second = windowed(f"{block}/conv{2 * at + 2}", "conv", grid, after=norm, adds=(source,))
        return [first, second]
    shortcut = windowed(
        f"{block}/shortcut{at + 1}", "conv", grid, 1, 2, after=norm, source=source, relu=False
    )
    more = {"after": norm, "adds": (shortcut.path,), "source": first.path}
    second = windowed(f"{block}/conv{2 * at + 2}", "conv", first.end, **more)
    return [shortcut, first, second]


def resnet18(count, stem, norm, eps, grid=(8, 8)):
    """ResNet-18 of `count` blocks; a shortcut halves the grid."""
    blocks, before = [], 64
    for index, stage in enumerate(STAGES[count]):
        name, layers = f"block{index}", []
        if index == 0 and stem == "cifar":
            layers = [windowed(f"{name}/stem", "conv", grid, after=norm)]
        elif index == 0:
            first = windowed(f"{name}/stem", "conv", grid, 7, 2, after=norm)
            layers = [first, windowed(f"{name}/pool", "max_pool", first.end, 3, 2, relu=False)]
        for at, channels in enumerate(stage):
            here = layers[-1].end if layers else grid
            source, half = (layers[-1].path if layers else INPUT), channels != before
            if count == 16:
                conv = windowed(f"{name}/conv1", "conv", here, stride=1 + half, after=norm)
                layers.append(conv)
            else:
                layers += _basic(name, at, source, here, half, norm)
            before = channels
        blocks.append(Block(name, tuple(layers)))
        grid = layers[-1].end
    return on_grid(blocks, norm, eps)


def small_image(blocks, layers, eps):
    """A network whose classifier only pools and is linear, as published; `layers` by path."""
    readouts = []
    for path in ("classifier", "heads/final"):
        named = tuple(replace(layer, path=f"{path}/{layer.path}") for layer in layers)
        one = (replace(named[0], path=path),)
        readouts.append((path, Readout(named if len(named) > 1 else one, averages=False)))
    return Network(tuple(blocks), tuple(readouts), None, eps)


VGG = {
    8: "11P11P1P1P",
    11: "1P1P11P11P11P",
    16: "11P11P111P111P111P",
}
"""Convolutions and 2x2 poolings in order; a pooling that would leave nothing is left out."""


def vgg(depth, hidden, norm, eps, grid=(8, 8)):
    """VGG: a pooling comes first in the block after it, or in the classifier."""
    blocks, pools, end = [], [], grid
    for letter in [*VGG[depth], *["full"] * hidden]:
        if letter == "P":
            if min(end) > 1:
                pools = [windowed("pool", "max_pool", end, 2, 2, relu=False)]
                end = pools[0].end
            continue
        name = f"block{len(blocks)}"
        layers = [replace(pool, path=f"{name}/pool") for pool in pools]
        if letter == "full":
            layers.append(Layer(f"{name}/hidden", "full", after=norm, grid=end))
        else:
            layers.append(windowed(f"{name}/conv", "conv", end, after=norm))
        blocks.append(Block(name, tuple(layers)))
        pools, end = [], layers[-1].end
    linear = Layer("linear", "full", relu=False, grid=end)
    return small_image(blocks, (*pools, linear), eps)


def cifar_resnet(cut, widths, shortcut, norm, eps, grid=(8, 8)):
    """A stem and three stages of equally many basic blocks; `cut` has the units of each block."""
    length, widths = (sum(cut) - 1) // 3, list(widths[1:])
    todo = [place == 0 and stage > 0 for stage in range(3) for place in range(length)]
    blocks = []
    for index, count in enumerate(cut):
        name, layers = f"block{index}", []
        if index == 0:
            layers, count = [windowed(f"{name}/stem", "conv", grid, after=norm)], count - 1
        for at in range(count):
            here = layers[-1].end if layers else grid
            source = layers[-1].path if layers else INPUT
            found = _basic(name, at, source, here, todo.pop(0), norm)
            if len(found) == 3 and shortcut == "padding":
                found[0] = replace(found[0], kind="pad", after=None, channels=widths.pop(0))
            layers += found
        blocks.append(Block(name, tuple(layers)))
        grid = layers[-1].end
    pool = Layer("pool", "average_pool", relu=False, grid=grid)
    return small_image(blocks, (pool, Layer("linear", "full", relu=False)), eps)
