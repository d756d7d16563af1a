"""The layer kinds, by hand: value, pull-backs to input and weight (semantics A1, B2).

Activations are [n, p, g, c]; a grid of positions lies row by row in p. Nothing here knows of JAX,
of the compiler or of learning rules.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Over:
    """A normalization: its axes, the parts that channels are cut into, scale and shift after it."""

    axes: tuple
    parts: int = 1
    affine: bool = False


@dataclass(frozen=True)
class Layer:
    """[norm] map + bias -> [norm, scale, shift] -> [+ perturbation] -> [+ adds] -> [ReLU or GELU].

    `source` and `adds` are paths of layers of its block, or `input`; without a source it reads the
    layer before. `grid` and `end` are rows and columns of its input and output; a map of windows
    begins (size - 1) // 2 positions outside of the grid. An embedding may have a class token and
    add sines and cosines of the position. A `pad` is a 1x1 convolution by the identity that gives
    so many `channels`, the further ones zero.
    """

    path: str
    kind: str
    before: Over | None = None
    after: Over | None = None
    source: str | None = None
    adds: tuple = ()
    relu: bool = True
    grid: tuple = (1, 1)
    end: tuple = (1, 1)
    size: int = 1
    stride: int = 1
    gelu: bool = False
    token: bool = False
    waves: bool = False
    channels: int = 0


_erf = np.vectorize(math.erf)


def activated(layer, z):
    """The output and the derivative of a layer's activation."""
    if layer.relu:
        return z * (z > 0), (z > 0).astype(float)
    if layer.gelu:  # z times the normal distribution function
        below = 0.5 * (1.0 + _erf(z / np.sqrt(2.0)))
        return z * below, below + z * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return z, np.ones(z.shape)


@lru_cache(maxsize=256)
def seen(grid, end, size, stride):
    """[q, k, p]: one where place k of the window of output position q stands on position p."""
    found = np.zeros((end[0] * end[1], size * size, grid[0] * grid[1]))
    for q, corner in enumerate(np.ndindex(*end)):
        for k, place in enumerate(np.ndindex(size, size)):
            row, column = (
                a * stride - (size - 1) // 2 + b for a, b in zip(corner, place, strict=True)
            )
            if 0 <= row < grid[0] and 0 <= column < grid[1]:
                found[q, k, row * grid[1] + column] = 1.0
    return found


def _windows(layer):
    return seen(layer.grid, layer.end, layer.size, layer.stride)


@lru_cache(maxsize=256)
def averages(grid, end):
    """[p, q]: part i of k of n positions goes from floor(i n / k) to ceil((i + 1) n / k)."""
    sides = []
    for n, k in zip(grid, end, strict=True):
        side = np.zeros((n, k))
        for i in range(k):
            first, last = i * n // k, -((i + 1) * n // -k)
            side[first:last, i] = 1.0 / (last - first)
        sides.append(side)
    return np.einsum("ai,bj->abij", *sides).reshape(grid[0] * grid[1], -1)


def _largest(layer, x):
    """[n, p, q, g, c]: one at the largest position of every window.

    Of two equal ones each has half, and so on place after place, as a row of pairwise maxima has.
    """
    at = np.einsum("qkp,npgc->knqgc", _windows(layer), x, optimize=True)
    inside = _windows(layer).sum(2).T[:, None, :, None, None] > 0
    at = np.where(inside, at, -np.inf)
    share, top = np.zeros(at.shape), at[0]
    share[0] = 1.0
    for k in range(1, len(at)):
        own = np.where(at[k] == top, 0.5, at[k] > top)
        share[:k] *= 1.0 - own
        share[k], top = own, np.maximum(top, at[k])
    return np.einsum("qkp,knqgc->npqgc", _windows(layer), share, optimize=True)


def weight(layer, params, x, count=False):
    """What multiplies x: the layer's weight, or what x itself chooses in max pooling.

    With `count` the largest of a window could be any of it. Of attention it is the point at which
    it is differentiated, x itself; with `count` None: every input of a head reaches every output.
    """
    if layer.kind == "attention":
        return None if count else x
    if layer.kind == "first":
        return np.eye(x.shape[1])[:, :1]
    if layer.kind == "average_pool":
        return averages(layer.grid, layer.end)
    if layer.kind == "max_pool":
        every = _windows(layer).sum(1).T[None, :, :, None, None]
        n, p, g, c = x.shape
        return every * np.ones((n, p, 1, g, c)) if count else _largest(layer, x)
    if layer.kind == "pad":
        return np.eye(x.shape[2] * x.shape[3], layer.channels)[None, :, None, :]
    w = params.get(f"{layer.path}/w")
    return w.reshape(-1, *w.shape[2:]) if layer.kind in ("conv", "depthwise") else w


EQUATIONS = {
    "dense": ("npi,igc->npgc", True),
    "grouped": ("npgi,gic->npgc", False),
    "token": ("npgc,pq->nqgc", False),
    "full": ("npi,pio->no", True),
    "conv": ("npi,kigc,qkp->nqgc", True),
    "pad": ("npi,kigc,qkp->nqgc", True),
    "depthwise": ("npgc,kgc,qkp->nqgc", False),
    "max_pool": ("npgc,npqgc->nqgc", False),
    "average_pool": ("npgc,pq->nqgc", False),
    "first": ("npgc,pq->nqgc", False),
    "embedding": ("npi,igc->npgc", True),
}
"""x, weight (and windows) -> output, and whether groups and channels of x stand in a row."""


def _read(layer, w, x):
    """The operands of the layer's equation in the shapes it names."""
    x = x.reshape(*x.shape[:2], -1) if EQUATIONS[layer.kind][1] else x
    w = w.reshape(x.shape[1], -1, w.shape[-1]) if layer.kind == "full" else w
    more = (_windows(layer),) if layer.kind in ("conv", "pad", "depthwise") else ()
    return x, w, *more


def _attending(x):
    """Queries, keys and values [n, p, g, d], and how much p attends to q, [n, g, p, q]."""
    d = x.shape[3] // 3
    query, key, value = x[..., :d], x[..., d : 2 * d], x[..., 2 * d :]
    scores = np.einsum("npgd,nqgd->ngpq", query, key) / np.sqrt(d)
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return query, key, value, raised / raised.sum(-1, keepdims=True)


def _softmax_along(a, ds):
    """The derivative of a softmax a along ds; its Jacobian is symmetric."""
    return a * (ds - (a * ds).sum(-1, keepdims=True))


def attention_along(x, dx):
    """The derivative of attention at x along dx."""
    query, key, value, a = _attending(x)
    d = x.shape[3] // 3
    dquery, dkey, dvalue = dx[..., :d], dx[..., d : 2 * d], dx[..., 2 * d :]
    ds = np.einsum("npgd,nqgd->ngpq", dquery, key) + np.einsum("npgd,nqgd->ngpq", query, dkey)
    da = _softmax_along(a, ds / np.sqrt(d))
    return np.einsum("ngpq,nqgd->npgd", da, value) + np.einsum("ngpq,nqgd->npgd", a, dvalue)


def attention_back(x, dz):
    """The derivative by x from that by the output of attention."""
    query, key, value, a = _attending(x)
    ds = _softmax_along(a, np.einsum("npgd,nqgd->ngpq", dz, value)) / np.sqrt(x.shape[3] // 3)
    by_query, by_key = (
        np.einsum("ngpq,nqgd->npgd", ds, key),
        np.einsum("ngpq,npgd->nqgd", ds, query),
    )
    return np.concatenate([by_query, by_key, np.einsum("ngpq,npgd->nqgd", a, dz)], -1)


def _through_all(dz, channels):
    """The sum over the positions and channels of each head, for every one of them."""
    n, p, g, _ = dz.shape
    return np.broadcast_to(dz.sum((1, 3), keepdims=True), (n, p, g, channels))


def waves(positions, channels):
    """Sines in even channels, cosines in odd ones, of p / 10000^(2 i / channels)."""
    found = np.zeros((positions, channels))
    for p, c in np.ndindex(positions, channels):
        angle = p / 10000.0 ** ((c - c % 2) / channels)
        found[p, c] = math.cos(angle) if c % 2 else math.sin(angle)
    return found


def value(layer, w, x):
    """The map without bias and without what an embedding adds."""
    if layer.kind == "attention" and w is not None:
        attended = _attending(x)
        return np.einsum("ngpq,nqgd->npgd", attended[3], attended[2])
    return linear(layer, w, x)


def added(layer, params):
    """What an embedding adds to every example, from its parameters or from their tangents."""
    positions, total = layer.end[0] * layer.end[1], 0.0
    if f"{layer.path}/token" in params:
        total = np.zeros((1, positions, *params[f"{layer.path}/token"].shape))
        total[0, 0] = params[f"{layer.path}/token"]
    return total + params.get(f"{layer.path}/positions", 0.0)


def added_to(layer, params, dz):
    """Per-example derivatives by what an embedding adds."""
    found = {f"{layer.path}/token": dz[:, 0], f"{layer.path}/positions": dz}
    return {path: grad for path, grad in found.items() if path in params}


def linear(layer, w, x):
    """y = x w without bias; of attention, the derivative at w along x."""
    if layer.kind == "identity":
        return x
    if layer.kind == "attention":
        return _through_all(x, x.shape[3] // 3) if w is None else attention_along(w, x)
    out = np.einsum(EQUATIONS[layer.kind][0], *_read(layer, w, x), optimize=True)
    if layer.token:
        out = np.concatenate([np.zeros_like(out[:, :1]), out], 1)
    return out[:, None, None] if layer.kind == "full" else out


def _swapped(layer, dz, first, wanted):
    """The equation with the output in place of operand `first`."""
    names, out = EQUATIONS[layer.kind][0].split("->")
    names = names.split(",")
    names[first] = out
    dz = dz[:, 1:] if layer.token else dz
    return f"{','.join(names)}->{wanted}", dz[:, 0, 0] if layer.kind == "full" else dz


def linear_to_input(layer, w, dz, x):
    """Transposed map: derivative by the output -> derivative by the input x."""
    if layer.kind == "identity":
        return dz
    if layer.kind == "attention":
        return _through_all(dz, x.shape[3]) if w is None else attention_back(w, dz)
    read = list(_read(layer, w, x))
    equation, read[0] = _swapped(layer, dz, 0, EQUATIONS[layer.kind][0].split(",")[0])
    return np.einsum(equation, *read, optimize=True).reshape(x.shape)


def linear_to_weight(layer, w, x, dz):
    """Per-example derivative by the weight, [n, *w.shape] of the stored weight w."""
    flat = w.reshape(-1, *w.shape[2:]) if layer.kind in ("conv", "depthwise") else w
    read = list(_read(layer, flat, x))
    wanted = "n" + EQUATIONS[layer.kind][0].split("->")[0].split(",")[1]
    equation, read[1] = _swapped(layer, dz, 1, wanted)
    return np.einsum(equation, *read, optimize=True).reshape(len(x), *w.shape)


def bias(layer, b):
    """The bias as it is added to [n, p, g, c]: one a token, or one a channel."""
    return b[None, :, None, None] if layer.kind == "token" else b


def linear_to_bias(layer, dz):
    """Per-example derivative by the bias, [n, *b.shape]."""
    by = {"token": (2, 3), "full": (1, 2)}.get(layer.kind, 1)
    return dz.sum(by)


class Norm:
    """y = (x - mean) / sqrt(var + eps) over some axes, before scale and shift; None: y = x."""

    def __init__(self, x, over, eps):
        self.over, self.y = over, x
        if over is not None:
            cut = self._cut(x)
            self.s = np.sqrt(cut.var(over.axes, keepdims=True) + eps)
            self.y = ((cut - cut.mean(over.axes, keepdims=True)) / self.s).reshape(x.shape)

    def _cut(self, x):
        return x if self.over.parts == 1 else x.reshape(*x.shape[:2], self.over.parts, -1)

    def through(self, d):
        """dy = (d - mean d - y mean(y d)) / s: tangent and pull-back, its Jacobian is symmetric."""
        if self.over is None:
            return d
        cut, y = self._cut(d), self._cut(self.y)
        mean, along = (v.mean(self.over.axes, keepdims=True) for v in (cut, y * cut))
        return ((cut - mean - y * along) / self.s).reshape(d.shape)


class Coupling(Norm):
    """In place of a normalization when paths are counted: every element reaches every other.

    Parts of the channels count as coupled, as they may cut across groups.
    """

    def __init__(self, x, over, eps):
        self.over, self.y = over, x

    def through(self, d):
        if self.over is None:
            return d
        axes = (*self.over.axes, 2) if self.over.parts > 1 else self.over.axes
        cut = self._cut(d)
        return (cut + cut.sum(axes, keepdims=True)).reshape(d.shape)


class Resting(Norm):
    """Batch norm by running statistics as they begin, zero and one; others as ever."""

    def __init__(self, x, over, eps):
        still = over is not None and 0 in over.axes
        super().__init__(x, None if still else over, eps)
        self.y = x / np.sqrt(1.0 + eps) if still else self.y


def cross_entropy(logits, onehot):
    """Softmax cross entropy per example in nats, and its derivative e = softmax - onehot."""
    top = logits.max(-1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    return -(onehot * log_p).sum(-1), np.exp(log_p) - onehot


@dataclass(frozen=True)
class InfoNce:
    """Contrastive loss of 2 n anchors against keys that stand still (semantics A2)."""

    temperature: float = 0.5

    def __call__(self, outputs, keys):
        """The loss of every row of `outputs` against `keys` [2 n, k], and its derivative."""
        length, rows = _length(outputs), np.arange(len(outputs))
        unit, keys = outputs / length, keys / _length(keys)
        logits = unit @ keys.T / self.temperature
        logits[rows, rows] = -np.inf
        positive = np.eye(len(rows))[(rows + len(rows) // 2) % len(rows)]
        top = logits.max(1, keepdims=True)
        log_p = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
        d = (np.exp(log_p) - positive) @ keys / self.temperature
        along = unit * (unit * d).sum(1, keepdims=True) * (length > SHORTEST)
        return -log_p[rows, positive.argmax(1)], (d - along) / length


SHORTEST = 1e-6


def _length(y):
    """Of every row; rows next to zero are not stretched to unit length."""
    return np.maximum(np.linalg.norm(y, axis=1, keepdims=True), SHORTEST)
