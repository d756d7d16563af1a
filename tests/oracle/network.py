"""Chains of blocks: forward with tangents, exact backward (semantics A1, B2).

Parameters are one flat dictionary: `block0/channel/w`, `heads/block0/w`, `classifier/w`, ...
"""

from dataclasses import dataclass, replace

import numpy as np

from oracle.layers import (
    Coupling,
    Layer,
    Norm,
    activated,
    added,
    added_to,
    bias,
    linear,
    linear_to_bias,
    linear_to_input,
    linear_to_weight,
    value,
    waves,
    weight,
)

INPUT = "input"


@dataclass(frozen=True)
class Block:
    """Layers, each of which reads an earlier one; the last is the block's output."""

    name: str
    layers: tuple

    def source(self, index):
        """What a layer reads: the path of another, or `input`."""
        before = self.layers[index - 1].path if index else INPUT
        return self.layers[index].source or before


@dataclass(frozen=True)
class Readout:
    """From features to outputs: [norm] [average over positions] layers."""

    layers: tuple
    norm: object = None
    averages: bool = True


@dataclass(frozen=True)
class Network:
    """Blocks, and the readouts of their features by path; a head that is not named is linear."""

    blocks: tuple
    readouts: tuple = ()
    head_norm: object = None
    eps: float = 1e-5
    norm: type = Norm

    def part(self, blocks):
        return replace(self, blocks=tuple(blocks))

    def layers(self):
        return [layer for block in self.blocks for layer in block.layers]

    def trained(self, params):
        """The layers that have parameters."""
        paths = {path.rpartition("/")[0] for path in params}
        return [layer for layer in self.layers() if layer.path in paths]

    def readout(self, path):
        linear_head = Readout((Layer(path, "full", relu=False),), self.head_norm)
        return dict(self.readouts).get(path, linear_head)


@dataclass
class Trace:
    """What a layer kept: norms, the derivative of its activation, the map's input and weight.

    `mask` is 0 where a derivative that is only 0 or 1 is 0; else there is nothing to leave out.
    """

    before: Norm
    after: Norm
    firing: np.ndarray
    mask: np.ndarray
    x: np.ndarray
    w: np.ndarray


@dataclass
class Pass:
    """One pass: layers by path; outputs and their tangents by block."""

    layers: dict
    outputs: dict
    tangents: dict


def _pushed(layer, push, before, after, dx, trace_w):
    """The tangent of a layer's pre-activation along dx and the pushes of its own parameters."""
    dpre = linear(layer, trace_w, before.through(dx))
    if f"{layer.path}/w" in push:
        dw = weight(layer, {f"{layer.path}/w": push[f"{layer.path}/w"]}, before.y)
        dpre = dpre + linear(layer, dw, before.y)
    if f"{layer.path}/b" in push:
        dpre = dpre + bias(layer, push[f"{layer.path}/b"])
    return after.through(dpre + added(layer, push))


def _layer(net, layer, params, x, push):
    """Pre-activation of one layer without what it adds, its tangent, its trace."""
    (entering, dx), path = x, layer.path
    before = net.norm(entering, layer.before, net.eps)
    w = weight(layer, params, before.y, net.norm is Coupling)
    pre = value(layer, w, before.y) + added(layer, params)
    if layer.waves:
        pre = pre + waves(pre.shape[1], pre[0, 0].size).reshape(pre.shape[1:])
    if f"{path}/b" in params:
        pre = pre + bias(layer, params[f"{path}/b"])
    after = net.norm(pre, layer.after, net.eps)
    dz = _pushed(layer, push, before, after, dx, w)
    z = after.y
    if layer.after is not None and layer.after.affine:
        scale, none = params[f"{path}/scale"], np.zeros(1)
        dz = dz * scale + push.get(f"{path}/scale", none) * z + push.get(f"{path}/shift", none)
        z = z * scale + params[f"{path}/shift"]
    return z, dz, Trace(before, after, None, None, before.y, w)


def run(net, block, params, x, push, shift, layers):
    """Output and tangent of one block; leaves the traces of its layers in `layers`."""
    none, found = np.zeros(1), {INPUT: x}
    for index, layer in enumerate(block.layers):
        z, dz, trace = _layer(net, layer, params, found[block.source(index)], push)
        z, dz = z + shift.get(layer.path, none), dz + push.get(layer.path, none)
        for name in layer.adds:
            z, dz = z + found[name][0], dz + found[name][1]
        out, trace.firing = activated(layer, z)
        trace.mask = trace.firing if layer.relu else np.ones(z.shape)
        found[layer.path] = (out, dz * trace.firing)
        layers[layer.path] = trace
    return found[block.layers[-1].path]


def forward(net, params, x, push=None, shift=None):
    """Run the chain.

    Args:
        push: tangents by parameter, by path of a layer (its pre-activation), by block (its output).
        shift: what is added to pre-activations by path and to outputs by block.
    """
    push, shift, none = push or {}, shift or {}, np.zeros(1)
    x, found = (x, np.zeros_like(x)), Pass({}, {}, {})
    for block in net.blocks:
        x = run(net, block, params, x, push, shift, found.layers)
        x = (x[0] + shift.get(block.name, none), x[1] + push.get(block.name, none))
        found.outputs[block.name], found.tangents[block.name] = x
    return found


def layer_back(layer, params, trace, dz, grads, ignore_norm=False):
    """A layer's gradients per example from the derivative by z; returns that by its map."""
    path = layer.path
    if layer.after is not None and layer.after.affine:
        grads[f"{path}/scale"], grads[f"{path}/shift"] = (dz * trace.after.y).sum(1), dz.sum(1)
        dz = dz * params[f"{path}/scale"]
    dpre = dz if ignore_norm else trace.after.through(dz)
    if f"{path}/w" in params:
        grads[f"{path}/w"] = linear_to_weight(layer, params[f"{path}/w"], trace.x, dpre)
    if f"{path}/b" in params:
        grads[f"{path}/b"] = linear_to_bias(layer, dpre)
    grads |= added_to(layer, params, dpre)
    return dpre


@dataclass
class Back:
    """Per-example derivatives by parameters, pre-activations, outputs and inputs of blocks."""

    grads: dict
    z: dict
    outputs: dict
    inputs: dict


def block_back(block, params, layers, d, found, back):
    """The derivative by a block's input from d, that by its output."""
    at = {block.layers[-1].path: d}
    for index in reversed(range(len(block.layers))):
        layer = block.layers[index]
        trace = layers[layer.path]
        dz = found.z[layer.path] = at.get(layer.path, 0.0) * trace.firing
        for name in layer.adds:
            at[name] = at.get(name, 0.0) + dz
        dpre = layer_back(layer, params, trace, dz, found.grads)
        path = f"{layer.path}/w"
        w = weight(layer, back, trace.x) if path in back else trace.w
        dx = trace.before.through(linear_to_input(layer, w, dpre, trace.x))
        source = block.source(index)
        at[source] = at.get(source, 0.0) + dx
    return at[INPUT]


def backward(net, params, made, injected, back=None):
    """Exact reverse pass; every derivative is per example, [n, ...].

    Args:
        net, params: of the forward pass `made`.
        injected: block -> derivative of the losses by its output, added as the pass arrives there.
        back: weights that errors travel through in place of those of `params` (feedback alignment).
    """
    found, d = Back({}, {}, {}, {}), 0.0
    for block in reversed(net.blocks):
        d = d + injected.get(block.name, 0.0) + np.zeros_like(made.outputs[block.name])
        found.outputs[block.name] = d
        d = found.inputs[block.name] = block_back(block, params, made.layers, d, found, back or {})
    return found


def layerwise(net, params, made, g_z, ignore_norm=False):
    """Estimates g_z of the derivative by each z -> gradients: own norm, then dW = x^T g (A3)."""
    grads = {}
    for layer in net.trained(params):
        layer_back(layer, params, made.layers[layer.path], g_z[layer.path], grads, ignore_norm)
    return grads
