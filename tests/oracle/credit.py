"""Which copies of the losses an element can move, by counting paths (semantics A3, C7).

Every weight is one, every ReLU lets through, every normalization reaches all it averages over: the
derivative of a copy by an element then counts the paths between them, and none cancel. Along an
axis of the copies an element answers for the copies at its own index, or, if any element of its
array moves others, for all (see compiler/plan/credit.py).
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from oracle.layers import Coupling
from oracle.network import backward, forward
from oracle.readouts import Head

GROUPS = {"dense": 1, "embedding": 1, "grouped": 0, "conv": 3, "depthwise": 2}
"""The group axis of a weight by kind of layer; a bias and an affine parameter begin with it."""


def _indices(net, path, shape):
    """Which axis of an element's array is that of the copies' n, p, g, or None."""
    layers = {layer.path: layer for layer in net.layers()}
    blocks = {block.name for block in net.blocks}
    if path in layers or path in blocks:
        return 0, 1, 2
    layer, _, part = path.rpartition("/")
    kind = layers[layer].kind
    if part in ("scale", "shift", "token"):
        return None, None, 0
    if part == "positions":
        return None, 0, 1
    if kind == "token":
        return None, len(shape) - 1, None
    group = None if kind == "full" else GROUPS[kind] if part == "w" else 0
    return None, None, group


def _reached(net, params, x_shape, readout, wanted):
    """[*element, n, p, g] of 0 and 1 for every array in `wanted`."""
    net = replace(net, norm=Coupling)
    params = {path: np.ones(np.shape(value)) for path, value in params.items()}
    made = forward(net, params, np.ones(x_shape))
    last = net.blocks[-1].name
    head = Head(net, readout, params, made.outputs[last], lambda y, _: (y, np.ones_like(y)))
    n, p, g, _ = made.outputs[last].shape
    copies = (n, p, g) if head.replicated else (n, 1, 1)
    rows = []
    for at in np.ndindex(*copies):
        ct = np.zeros(copies)
        ct[at] = 1.0
        d = head.pull_back(ct)[0]
        found = backward(net, params, made, {last: d})
        summed = {path: grad.sum(0) for path, grad in found.grads.items()}
        arrays = summed | found.z | found.outputs
        rows.append({path: arrays[path] > 0 for path in wanted})
    return {
        path: np.stack([row[path] for row in rows], -1).reshape(*rows[0][path].shape, *copies)
        for path in wanted
    }


def _along(mask, axis, index):
    """The mask with one axis of the copies answered for at the own index, or as a whole."""
    size = mask.shape[axis]
    if index is not None and mask.shape[index] == size:
        shape = [1] * mask.ndim
        shape[index] = shape[axis] = size
        if not (mask & ~np.eye(size, dtype=bool).reshape(shape)).any():
            return np.eye(size, dtype=bool).reshape(shape)
    return np.ones([1] * mask.ndim, bool)


def _route(net, path, mask):
    shape, rank = mask.shape[:-3], mask.ndim - 3
    found = np.ones(mask.shape, bool)
    for axis, index in enumerate(_indices(net, path, shape)):
        found = found & _along(mask, rank + axis, index)
    return found


@lru_cache(maxsize=64)
def influenced(net, shapes, x_shape, readout, wanted):
    """Masks [*element, n, p, g] of the copies that each element of an array answers for, by path.

    Args:
        net: the blocks between the elements and the loss.
        shapes: ((path, shape), ...) of all parameters.
        x_shape: of the input of `net`.
        readout: `heads/<block>` or `classifier`.
        wanted: paths of layers (their pre-activations), of parameters, names of blocks.
    """
    params = {path: np.empty(shape) for path, shape in shapes}
    reached = _reached(net, params, x_shape, readout, wanted)
    return {path: _route(net, path, mask) for path, mask in reached.items()}


def paper(net, shapes, x_shape, readout, wanted):
    """The same masks by the papers' route: what the linear maps couple, normalizations ignored.

    So an activation answers for its own example, patch and group, in token mixing for every group;
    a weight for its own group, and always for every example and patch.
    """
    blocks = (
        replace(
            block,
            layers=tuple(
                replace(layer, before=None, after=_bare(layer.after)) for layer in block.layers
            ),
        )
        for block in net.blocks
    )
    plain = replace(net, blocks=tuple(blocks), head_norm=None, readouts=_unnormalized(net))
    masks = influenced(plain, shapes, x_shape, readout, wanted)
    return {
        path: np.broadcast_to(mask.any((-3, -2), keepdims=True), mask.shape)
        if path.count("/") == 2  # block, layer, name; a layer of a LocalMixer is called token, too
        else mask
        for path, mask in masks.items()
    }


def _bare(over):
    return replace(over, axes=()) if over is not None and over.affine else None


def _unnormalized(net):
    return tuple(
        (
            path,
            replace(
                readout,
                norm=None,
                layers=tuple(
                    replace(layer, before=None, after=_bare(layer.after))
                    for layer in readout.layers
                ),
            ),
        )
        for path, readout in net.readouts
    )
