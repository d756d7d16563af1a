"""Which copies of the losses an element can move, by counting paths (semantics A3, C7).

Every weight is one, every ReLU lets through, every normalization reaches all it averages over: the
tangent of a copy along one element then counts the paths between them, and none cancel.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from oracle.layers import Coupling, linear
from oracle.network import Head, forward


class _Counting:
    """The network, its inputs and a readout with all weights one."""

    def __init__(self, net, shapes, x_shape, readout):
        self.net = replace(net, norm=Coupling)
        self.params = {path: np.ones(shape) for path, shape in shapes.items()}
        self.x, self.readout = np.ones(x_shape), readout

    def copies(self, path, at):
        """Paths from one element to every copy, [n, p, g]."""
        push = {path: np.zeros(self.shape(path))}
        push[path][at] = 1.0
        made = forward(self.net, self.params, self.x, push)
        last = self.net.blocks[-1].name
        head = Head(self.net, self.readout, self.params, made.outputs[last], np.zeros((1, 1)))
        head.e = np.ones_like(head.logits)
        return head.copies(made.tangents[last])

    def shape(self, path):
        if path in self.params:
            return self.params[path].shape
        x, found = self.x, {}
        for layer in self.net.layers():
            x = found[layer.path] = linear(layer.kind, self.params[f"{layer.path}/w"], x)
        return found[path].shape


@lru_cache(maxsize=512)
def influenced(net, shapes, x_shape, readout, path):
    """Mask [*element, n, p, g] of the copies that each element of an array can move.

    Args:
        net: the blocks between the element and the loss.
        shapes: ((path, shape), ...) of all parameters.
        x_shape: of the input of `net`.
        readout: `heads/<block>` or `classifier`.
        path: of a layer (its pre-activations) or of a parameter.
    """
    counting = _Counting(net, dict(shapes), x_shape, readout)
    shape = counting.shape(path)
    rows = [counting.copies(path, at) > 0 for at in np.ndindex(shape)]
    return np.reshape(rows, (*shape, *rows[0].shape))


def paper(net, shapes, x_shape, readout, path):
    """The same mask by the papers' route: whatever the linear maps couple, normalizations ignored.

    So an activation answers for its own example, patch and group, in token mixing for every group;
    a weight for its own group, and always for every example and patch.
    """
    plain = replace(
        net,
        blocks=tuple(
            replace(
                block,
                begin=None,
                layers=tuple(replace(layer, before=None, after=None) for layer in block.layers),
            )
            for block in net.blocks
        ),
        head_norm=None,
        classifier_norm=None,
    )
    mask = influenced(plain, shapes, x_shape, readout, path)
    if not path.endswith(("/w", "/b")):
        return mask
    return np.broadcast_to(mask.any((-3, -2), keepdims=True), mask.shape)
