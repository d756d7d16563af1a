"""The few layer kinds, by hand: value, tangent and pull-back (semantics A1).

Activations are [n, p, g, c]. Nothing here knows of JAX, of the compiler or of learning rules.
"""

import numpy as np


def linear(kind, w, x):
    """y = x w without bias: dense mixes (g, c), grouped mixes c, token mixes p."""
    if kind == "dense":
        return np.einsum("npi,igc->npgc", x.reshape(*x.shape[:2], -1), w)
    if kind == "grouped":
        return np.einsum("npgi,gic->npgc", x, w)
    return np.einsum("npgc,pq->nqgc", x, w)


def linear_to_input(kind, w, dz, shape):
    """Transposed map: derivative by the output -> derivative by the input."""
    if kind == "dense":
        return np.einsum("npgc,igc->npi", dz, w).reshape(shape)
    if kind == "grouped":
        return np.einsum("npgc,gic->npgi", dz, w)
    return np.einsum("nqgc,pq->npgc", dz, w)


def linear_to_weight(kind, x, dz):
    """Per-example derivative by the weight, [n, *w.shape]."""
    if kind == "dense":
        return np.einsum("npi,npgc->nigc", x.reshape(*x.shape[:2], -1), dz)
    if kind == "grouped":
        return np.einsum("npgi,npgc->ngic", x, dz)
    return np.einsum("npgc,nqgc->npq", x, dz)


def bias(kind, b):
    """The bias as it is added to [n, p, g, c]: one a token, or one a channel."""
    return b[None, :, None, None] if kind == "token" else b


def linear_to_bias(kind, dz):
    """Per-example derivative by the bias, [n, *b.shape]."""
    return dz.sum((2, 3)) if kind == "token" else dz.sum(1)


class Norm:
    """y = (x - mean) / sqrt(var + eps) over some axes, no affine parameters; None: y = x."""

    def __init__(self, x, axes, eps):
        self.axes, self.y = axes, x
        if axes is not None:
            self.s = np.sqrt(x.var(axes, keepdims=True) + eps)
            self.y = (x - x.mean(axes, keepdims=True)) / self.s

    def through(self, d):
        """dy = (d - mean d - y mean(y d)) / s: tangent and pull-back, its Jacobian is symmetric."""
        if self.axes is None:
            return d
        mean, along = (v.mean(self.axes, keepdims=True) for v in (d, self.y * d))
        return (d - mean - self.y * along) / self.s


class Coupling(Norm):
    """In place of a normalization when paths are counted: every element reaches every other."""

    def __init__(self, x, axes, eps):
        self.axes, self.y = axes, x

    def through(self, d):
        return d if self.axes is None else d + d.sum(self.axes, keepdims=True)


def cross_entropy(logits, onehot):
    """Softmax cross entropy per example in nats, and its derivative e = softmax - onehot."""
    top = logits.max(-1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    return -(onehot * log_p).sum(-1), np.exp(log_p) - onehot
