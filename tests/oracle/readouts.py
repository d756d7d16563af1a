"""Readouts of features and the losses of their outputs, replicated or not (semantics A1, A2)."""

from functools import partial

import numpy as np

from oracle.layers import cross_entropy
from oracle.network import Back, Block, block_back, run


class Head:
    """A readout of features x under a loss; `path` is `heads/<block>`, `heads/final`, `classifier`.

    `goal` is an array of one-hot labels, or (outputs, keys) -> (loss, derivative) of every row.
    """

    def __init__(self, net, path, params, x, goal):
        self.net, self.path, self.params, self.x = net, path, params, x
        self.loss_of = (
            goal if callable(goal) else lambda outputs, keys: cross_entropy(outputs, goal)
        )
        self.readout = net.readout(path)
        self.replicated = path.startswith("heads/block") and self.readout.averages
        self.block = Block(path, self.readout.layers)
        self.norm, self.layers = net.norm(x, self.readout.norm, net.eps), {}
        self.logits = self._outputs(self.norm.y, np.zeros_like(x), {}, self.layers)[0]
        self.final = self.layers[self.block.layers[-1].path].before
        self.loss, self.e = self.loss_of(self.logits, self.logits)

    def _read(self, x):
        n, _, g, c = x.shape
        return x.mean(1).reshape(n, 1, 1, g * c) if self.readout.averages else x

    def _outputs(self, x, dx, push, layers):
        """Outputs [n, k] and their tangent from normalized features."""
        entering = (self._read(x), self._read(dx))
        out = run(self.net, self.block, self.params, entering, push, {}, layers)
        return tuple(side.reshape(len(x), -1) for side in out)

    def _back(self, e, back=None):
        """Gradients per example and the derivative by what the layers read, from e."""
        found = Back({}, {}, {}, {})
        last = self.layers[self.block.layers[-1].path]
        d = block_back(
            self.block, self.params, self.layers, e.reshape(last.firing.shape), found, back or {}
        )
        return found.grads, d

    def _spread(self, d):
        """Derivative by what the layers read -> by every normalized feature."""
        if not self.readout.averages:
            return d
        n, p, g, c = self.x.shape
        return np.broadcast_to(d.reshape(n, 1, g, c) / p, self.x.shape)

    def gradients(self):
        """Of the mean loss by the readout's own parameters."""
        return {path: grad.sum(0) for path, grad in self._back(self.e / len(self.e))[0].items()}

    def to_features(self, back=None):
        """Derivative of the mean loss by x, through the readout or through `back`."""
        return self.norm.through(self._spread(self._back(self.e / len(self.e), back)[1]))

    def copies(self, dx, own=None):
        """Tangents of the loss copies along dx and the readout's `own` parameters by path.

        [n, p, g]; [n, 1, 1] of a loss without copies (eq. 4).
        """
        df = self.norm.through(dx)
        if not self.replicated:
            along = self._outputs(self.norm.y, df, own or {}, {})[1]
            return (along * self.e).sum(1)[:, None, None]
        of_head = self._outputs(self.norm.y, np.zeros_like(df), own or {}, {})[1]
        moved = (df * self._spread(self._back(self.e)[1])).sum(3)
        return moved + (of_head * self.e).sum(1)[:, None, None]

    def pull_back(self, ct):
        """Derivatives of sum ct[n, p, g] l[n, p, g] by x and the parameters, for any ct (A2)."""
        rows = ct.sum((1, 2))[:, None] * self.e
        grads = {path: grad.sum(0) for path, grad in self._back(rows)[0].items()}
        if not self.replicated:
            return self.norm.through(self._spread(self._back(rows)[1])), grads
        df = ct[..., None] * self._spread(self._back(self.e)[1])
        return self.norm.through(df), grads

    def moved_copies(self, moved, joint):
        """Values of the copies after a move of x, axes `joint` moving together, keys at rest."""
        moved = self.net.norm(moved, self.readout.norm, self.net.eps).y
        value = partial(self._value, np.zeros_like(moved))
        if not self.replicated:
            return value(moved)[:, None, None]
        _, p, g, _ = moved.shape
        sizes = (1 if 1 in joint else p, 1 if 2 in joint else g)
        found = np.zeros((len(moved), *sizes))
        for at in np.ndindex(*sizes):
            own = np.zeros((p, g), bool)
            rows, columns = (
                slice(None) if whole == 1 else index for whole, index in zip(sizes, at, strict=True)
            )
            own[rows, columns] = True
            kept = np.where(own[None, :, :, None], moved, self.norm.y)
            found[:, at[0], at[1]] = value(kept)
        return found

    def _value(self, still, features):
        return self.loss_of(self._outputs(features, still, {}, {})[0], self.logits)[0]
