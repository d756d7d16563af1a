"""Auxiliary networks that read all positions of a block's output (semantics B2)."""

from dataclasses import replace

from oracle.build import windowed
from oracle.layers import Layer
from oracle.network import INPUT, Readout

WIDTH = 3
"""Of the hidden layers of `mlp`, channels of `cnn`."""


def _pooled(path, grid):
    """Averages over 2x2 parts, or over what the grid has, and a linear layer."""
    pool = Layer(f"{path}/pool", "average_pool", relu=False, grid=grid, end=(2, 2))
    return pool, Layer(f"{path}/linear", "full", relu=False)


def _linear(path, grid, norm):
    own = Layer(f"{path}/norm", "identity", after=norm, relu=False, grid=grid, end=grid)
    return (own, *_pooled(path, grid))


def _mlp(path, grid, norm):
    pool, last = _pooled(path, grid)
    return (pool, *(Layer(f"{path}/hidden{k}", "full", after=norm) for k in range(3)), last)


def _cnn(path, grid, norm):
    layers = [windowed(f"{path}/conv0", "conv", grid, 1, after=norm)]
    for k in (1, 2, 3):
        layers.append(windowed(f"{path}/conv{k}", "conv", layers[-1].end, 3, 2, after=norm))
    return (*layers, *_pooled(path, layers[-1].end))


def _next_blocks(path, net, index):
    """A copy of all later blocks and of the classifier under names of their own."""
    found, entering, grid = [], INPUT, net.blocks[index].layers[-1].end
    for block in net.blocks[index + 1 :]:
        names = {layer.path: f"{path}/{layer.path.replace('/', '_')}" for layer in block.layers}
        names[INPUT] = entering
        for at, layer in enumerate(block.layers):
            adds = tuple(names[name] for name in layer.adds)
            own = {"path": names[layer.path], "source": names[block.source(at)], "adds": adds}
            found.append(replace(layer, **own))
        entering, grid = found[-1].path, found[-1].end
    classifier = net.readout("classifier")
    own = Layer(f"{path}/average", "average_pool", relu=False, grid=grid)
    after = [own] if classifier.averages else []
    after += [replace(layer, path=f"{path}/{_name(layer)}") for layer in classifier.layers]
    return (*found, *after)


def _name(layer):
    """Of a layer of the classifier, which has none in its path where it is the only one."""
    return layer.path.rpartition("/")[2].replace("classifier", "linear")


DEPTH, PYRAMID = 3, 0.5
"""Of `auglocal`, as in its authors' scripts."""


def _units(net):
    """Of a cifar_resnet: (block, basic block of the block, stage, whether it is the stage's first).

    The stem has no number.
    """
    found = []
    for block in net.blocks:
        firsts = [layer for layer in block.layers if layer.path.endswith(("1", "3", "5", "7"))]
        convolutions = [layer for layer in firsts if "conv" in _name(layer)]
        found += [(block.name, None)] * (block.layers[0].path == "block0/stem")
        found += [(block.name, number) for number, _ in enumerate(convolutions, 1)]
    length = (len(found) - 1) // 3
    basic = [(*unit, at // length, at % length == 0) for at, unit in enumerate(found[1:])]
    return [(*found[0], 0, False), *basic]


def _auglocal(path, net, index, norm):
    """The auxiliary network as the published code of Ma et al. 2024 makes it.

    One difference: a copy of a stage's first basic block keeps the shortcut that it has, with or
    without parameters. All other shortcuts of changed shapes are 1x1 convolutions.
    """
    units, modules = _units(net), len(net.blocks)
    own = [at for at, unit in enumerate(units) if unit[0] == net.blocks[index].name][-1]
    ratio = min(index, modules - 2) * PYRAMID / (modules - 2)
    depth = max(1, round(DEPTH * (1 - ratio) + ratio))
    count = len(units)
    taken = range(own + 1, count)
    if depth < count - 1 - own:
        taken = [round(own + (count - own - 1) / depth * i) for i in range(1, depth + 1)]
    found, entering, grid, stage, owed = (
        [],
        INPUT,
        net.blocks[index].layers[-1].end,
        units[own][2],
        0,
    )
    originals = {layer.path: layer for layer in net.layers()}
    for block, number, own_stage, first in (units[at] for at in taken):
        owed, stage, changed = owed + own_stage - stage, own_stage, own_stage != stage
        stride = 2 if owed > 0 else 1
        owed -= stride - 1
        names = [f"{path}/{block}_conv{2 * number - 1}", f"{path}/{block}_conv{2 * number}"]
        conv = windowed(names[0], "conv", grid, stride=stride, after=norm, source=entering)
        adds = entering
        if first:
            original = originals[f"{block}/shortcut{number}"]
            adds = f"{path}/{block}_shortcut{number}"
            found.append(replace(original, path=adds, source=entering, grid=grid, end=conv.end))
        elif stride == 2 or changed:
            adds = f"{names[1]}_shortcut"
            more = {"after": norm, "source": entering, "relu": False}
            found.append(windowed(adds, "conv", grid, 1, stride, **more))
        more = {"after": norm, "adds": (adds,), "source": names[0]}
        found += [conv, windowed(names[1], "conv", conv.end, **more)]
        entering, grid = names[1], conv.end
    source = entering if found else None
    pool = Layer(f"{path}/pool", "average_pool", relu=False, grid=grid, source=source)
    alone = Layer(f"{path}/norm", "identity", after=norm, relu=False)
    single = (alone,) if depth == 1 and norm is not None else ()
    return (*found, pool, *single, Layer(f"{path}/linear", "full", relu=False))


KINDS = {"linear": _linear, "mlp": _mlp, "cnn": _cnn}


def with_heads(net, kind, norm):
    """The network with a pooled head of a kind after every block.

    A head of a single layer has its parameters directly under its path.
    """
    readouts = []
    for index, block in enumerate(net.blocks):
        path, grid = f"heads/{block.name}", block.layers[-1].end
        if kind == "next_blocks":
            layers = _next_blocks(path, net, index)
        elif kind == "auglocal":
            layers = _auglocal(path, net, index, norm)
        else:
            layers = KINDS[kind](path, grid, norm)
        layers = layers if len(layers) > 1 else (replace(layers[0], path=path),)
        readouts.append((path, Readout(tuple(layers), averages=False)))
    return replace(net, readouts=(*net.readouts, *readouts))


SPECS = {
    "linear": "{type: linear}",
    "mlp": f"{{type: mlp, width: {WIDTH}}}",
    "cnn": f"{{type: cnn, channels: {WIDTH}}}",
    "next_blocks": "{type: next_blocks}",
    "auglocal": f"{{type: auglocal, depth: {DEPTH}, pyramid: {PYRAMID}}}",
}
