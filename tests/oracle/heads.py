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
}
