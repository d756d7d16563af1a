"""Chains of blocks: forward with tangents, exact backward, readouts (semantics A1, A2).

Parameters are one flat dictionary: `block0/channel/w`, `heads/block0/w`, `classifier/w`, ...
"""

from dataclasses import dataclass, replace

import numpy as np

from oracle.layers import (
    Norm,
    bias,
    cross_entropy,
    linear,
    linear_to_bias,
    linear_to_input,
    linear_to_weight,
)


@dataclass(frozen=True)
class Layer:
    """[norm] -> linear + bias -> [norm] -> [+ perturbation] -> [+ block input] -> ReLU."""

    path: str
    kind: str
    before: tuple | None = None
    after: tuple | None = None
    residual: bool = False


@dataclass(frozen=True)
class Block:
    """Layers in a row; `begin` are the axes of the normalization of its input."""

    name: str
    layers: tuple
    begin: tuple | None = None


@dataclass(frozen=True)
class Network:
    """Blocks, and the axes of the normalizations that heads and classifier read through."""

    blocks: tuple
    head_norm: tuple | None = None
    classifier_norm: tuple | None = None
    eps: float = 1e-5
    norm: type = Norm

    def part(self, blocks):
        return replace(self, blocks=tuple(blocks))

    def layers(self):
        return [layer for block in self.blocks for layer in block.layers]


def norm_axes(kind, layer):
    """Axes of a normalization of [n, p, g, c]; local ones are per group at grouped layers."""
    if kind == "local_layer_norm":
        return (3,) if layer == "grouped" else (2, 3)
    return {"layer_norm": (1, 2, 3), "batch_norm": (0, 1), "none": None}[kind]


def make_network(chain, norm="none", places=(), readout=True, eps=1e-5):
    """A network of `chain`: [(block, residual, [(layer, kind), ...]), ...].

    Begin of the block and before its first linear layer are one place: the golden arrays are
    normalized there once (1 - var of `state/block_1.pre_0` is eps / (var + eps), not eps).
    """
    blocks = []
    for name, residual, kinds in chain:
        layers = tuple(
            Layer(
                f"{name}/{layer}",
                kind,
                norm_axes(norm, kind) if "before_linear" in places else None,
                norm_axes(norm, kind) if "after_linear" in places else None,
                residual and index == len(kinds) - 1,
            )
            for index, (layer, kind) in enumerate(kinds)
        )
        once = "begin_block" in places and "before_linear" not in places
        begin = norm_axes(norm, "dense") if once else None
        blocks.append(Block(name, layers, begin))
    head = norm_axes(norm, "grouped") if readout else None
    last = ((0,) if norm == "batch_norm" else (1,)) if readout and norm != "none" else None
    return Network(tuple(blocks), head, last, eps)


def local_mixer(blocks, **norm):
    """LocalMixer (A1): the first block has no token mixing and no residual."""
    kinds = [("channel", "dense"), ("group", "grouped")]
    later = [("token", "token"), *kinds]
    chain = [(f"block{b}", b > 0, later if b else kinds) for b in range(blocks)]
    return make_network(chain, **norm)


def mlp(blocks, **norm):
    """A perceptron: every block is one dense layer."""
    return make_network([(f"block{b}", False, [("dense", "dense")]) for b in range(blocks)], **norm)


@dataclass
class Trace:
    """What a layer kept: norms, the linear map's input, firing, and the tangent of its output."""

    before: Norm
    after: Norm
    firing: np.ndarray
    input_shape: tuple


@dataclass
class Pass:
    """One pass: layers by path; input norms, outputs and output tangents by block."""

    layers: dict
    begins: dict
    outputs: dict
    tangents: dict


def _layer(net, layer, params, x, dx, skip, push, shift):
    """One layer's output and its tangent along `push` (weights by name, activations by path)."""
    none = np.zeros(1)
    w, b = params[f"{layer.path}/w"], params[f"{layer.path}/b"]
    before = net.norm(x, layer.before, net.eps)
    after = net.norm(linear(layer.kind, w, before.y) + bias(layer.kind, b), layer.after, net.eps)
    z = after.y + shift.get(layer.path, none) + (skip[0] if layer.residual else none)
    dpre = linear(layer.kind, w, before.through(dx))
    if f"{layer.path}/w" in push:
        dpre = dpre + linear(layer.kind, push[f"{layer.path}/w"], before.y)
    if f"{layer.path}/b" in push:
        dpre = dpre + bias(layer.kind, push[f"{layer.path}/b"])
    dz = after.through(dpre) + push.get(layer.path, none) + (skip[1] if layer.residual else none)
    firing = (z > 0).astype(z.dtype)
    return z * firing, dz * firing, Trace(before, after, firing, x.shape)


def forward(net, params, x, push=None, shift=None):
    """Run the chain; `push` are tangents, `shift` is added to pre-activations by path."""
    dx, found = np.zeros_like(x), Pass({}, {}, {}, {})
    for block in net.blocks:
        skip = (x, dx)
        begin = net.norm(x, block.begin, net.eps)
        x, dx = begin.y, begin.through(dx)
        for layer in block.layers:
            x, dx, found.layers[layer.path] = _layer(
                net, layer, params, x, dx, skip, push or {}, shift or {}
            )
        found.begins[block.name] = begin
        found.outputs[block.name], found.tangents[block.name] = x, dx
    return found


def _layer_back(layer, trace, dpre, grads):
    """The gradients of a layer from the derivative by its linear map's output (per example)."""
    grads[f"{layer.path}/w"] = linear_to_weight(layer.kind, trace.before.y, dpre)
    grads[f"{layer.path}/b"] = linear_to_bias(layer.kind, dpre)


def backward(net, params, made, injected, back=None):
    """Exact reverse pass: gradients per example [n, ...] and derivatives by every block's input.

    Args:
        net, params: of the forward pass `made`.
        injected: block -> derivative of the losses by its output, added as the pass arrives there.
        back: parameters that errors travel through instead of `params` (feedback alignment).
    """
    back, grads, inputs = back or params, {}, {}
    d = 0.0
    for block in reversed(net.blocks):
        d = d + injected.get(block.name, 0.0) + np.zeros_like(made.outputs[block.name])
        skip = 0.0
        for layer in reversed(block.layers):
            trace = made.layers[layer.path]
            dz = d * trace.firing
            skip = dz if layer.residual else skip
            dpre = trace.after.through(dz)
            _layer_back(layer, trace, dpre, grads)
            dx = linear_to_input(layer.kind, back[f"{layer.path}/w"], dpre, trace.input_shape)
            d = trace.before.through(dx)
        d = inputs[block.name] = made.begins[block.name].through(d) + skip
    return grads, inputs


def layerwise(net, made, g_z, ignore_norm=False):
    """Estimates g_z of the derivative by each z -> gradients: own norm, then dW = x^T g (A3)."""
    grads = {}
    for layer in net.layers():
        trace = made.layers[layer.path]
        g = g_z[layer.path]
        _layer_back(layer, trace, g if ignore_norm else trace.after.through(g), grads)
    return grads


@dataclass
class Head:
    """A linear readout of pooled features; `path` is `heads/<block>` or `classifier` (A1, A2)."""

    net: Network
    path: str
    params: dict
    x: np.ndarray
    onehot: np.ndarray

    def __post_init__(self):
        n, _, g, c = self.x.shape
        local = self.path != "classifier"
        self.norm = self.net.norm(self.x, self.net.head_norm if local else None, self.net.eps)
        pooled = self.norm.y.mean(1).reshape(n, g * c)
        self.final = self.net.norm(
            pooled, None if local else self.net.classifier_norm, self.net.eps
        )
        self.w = self.params[f"{self.path}/w"]
        self.logits = self.final.y @ self.w + self.params[f"{self.path}/b"]
        self.loss, self.e = cross_entropy(self.logits, self.onehot)

    def gradients(self):
        """Of the mean loss by the readout's own parameters."""
        n = len(self.e)
        return {f"{self.path}/w": self.final.y.T @ self.e / n, f"{self.path}/b": self.e.sum(0) / n}

    def to_features(self, back=None):
        """Derivative of the mean loss by x, through the readout or through `back`."""
        w = self.w if back is None else back[f"{self.path}/w"]
        n, p, _, _ = self.x.shape
        d = self.final.through(self.e @ w.T / n).reshape(n, 1, *self.x.shape[2:]) / p
        return self.norm.through(np.broadcast_to(d, self.x.shape))

    def copies(self, dx, dw=0.0, db=0.0):
        """Tangents of the loss copies along dx, [n, p, g]; [n, 1, 1] of the final loss (eq. 4)."""
        n, p, g, c = self.x.shape
        of_head = ((self.final.y @ (dw + 0.0 * self.w) + db) * self.e).sum(1)[:, None, None]
        df = self.norm.through(dx)
        if self.path == "classifier":
            dpooled = self.final.through(df.mean(1).reshape(n, g * c))
            return (dpooled @ self.w * self.e).sum(1)[:, None, None]
        return (df * (self.e @ self.w.T).reshape(n, 1, g, c)).sum(3) / p + of_head

    def pull_back(self, ct):
        """Derivatives of sum ct[n, p, g] l[n, p, g] by x, w and b, for any cotangent (A2)."""
        n, p, g, c = self.x.shape
        df = ct[..., None] * (self.e @ self.w.T).reshape(n, 1, g, c) / p
        e = ct.sum((1, 2))[:, None] * self.e
        return self.norm.through(df), self.final.y.T @ e, e.sum(0)

    def moved_copies(self, moved, joint):
        """Values of the copies after a move of x, axes `joint` moving together."""
        if self.path == "classifier":
            return Head(self.net, self.path, self.params, moved, self.onehot).loss[:, None, None]
        _, p, g, c = self.x.shape
        df = (self.net.norm(moved, self.net.head_norm, self.net.eps).y - self.norm.y) / p
        dlogits = np.einsum("npgc,gck->npgk", df, self.w.reshape(g, c, -1))
        dlogits = dlogits.sum(joint, keepdims=True) if joint else dlogits
        return cross_entropy(self.logits[:, None, None] + dlogits, self.onehot[:, None, None])[0]
