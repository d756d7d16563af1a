"""The rules of Ren et al. 2022 in a few lines each (semantics A2, A3).

Every rule returns {parameter path: gradient}, the gradient of the mean over the batch. Heads and
classifier always have the exact gradient of their own loss. `goal` is what the losses compare
outputs with, see `oracle.readouts.Head`.
"""

import numpy as np

from oracle import credit as routes
from oracle.network import backward, forward, layerwise
from oracle.readouts import Head

COPY_AXES = {"batch": 0, "patch": 1, "group": 2}


def units(net, every=1, last="local", final="classifier"):
    """[(blocks, path of the readout of the loss that closes them)]."""
    starts = range(0, len(net.blocks), every)
    chains = [net.blocks[start : start + every] for start in starts]
    found = [(chain, f"heads/{chain[-1].name}") for chain in chains]
    return found if last == "local" else [*found[:-1], (found[-1][0], final)]


def _chained(parts):
    return tuple(block for blocks, _ in parts for block in blocks)


def segments(parts, target):
    """[(blocks, readouts of the losses in them)] whose gradients add up to the target's.

    global: of the last loss. local: every unit by itself. above: each loss also trains the unit
    before its own. sum: all units, all losses.
    """
    pairs = [(parts[max(at - 1, 0) : at + 1], [path]) for at, (_, path) in enumerate(parts)]
    return {
        "global": [(_chained(parts), [parts[-1][1]])],
        "local": [(blocks, [path]) for blocks, path in parts],
        "above": [(_chained(pair), paths) for pair, paths in pairs],
        "sum": [(_chained(parts), [path for _, path in parts])],
    }[target]


def ends(parts):
    """The block that each loss follows, by the path of its readout."""
    return {path: blocks[-1].name for blocks, path in parts}


def inputs(net, params, x):
    """What enters each block, by name."""
    outputs = [x, *forward(net, params, x).outputs.values()]
    return {block.name: entering for block, entering in zip(net.blocks, outputs, strict=False)}


def readouts(net, params, x, goal, paths):
    """The gradients of readouts by path, each by its own clean loss."""
    outputs, grads = forward(net, params, x).outputs, {}
    for path, block in paths.items():
        grads |= Head(net, path, params, outputs[block], goal).gradients()
    return grads


def summed(grads):
    """Sum of per-example gradients."""
    return {path: grad.sum(0) for path, grad in grads.items()}


def added(found):
    """Sums of gradients that several segments give a path."""
    total = {}
    for grads in found:
        total |= {path: total.get(path, 0.0) + grad for path, grad in grads.items()}
    return total


def derivatives(net, params, x, goal, parts, target, back=None):
    """The target's exact derivatives per example, one `Back` a segment."""
    entering, at, found = inputs(net, params, x), ends(parts), []
    for blocks, paths in segments(parts, target):
        chain = net.part(blocks)
        made = forward(chain, params, entering[blocks[0].name])
        injected = {
            at[path]: Head(net, path, params, made.outputs[at[path]], goal).to_features(back)
            for path in paths
        }
        found.append(backward(chain, params, made, injected, back))
    return found


def reverse(net, params, x, goal, parts, target, back=None):
    """BP, L-BP, LG-BP, overlapping losses and, with backward weights `back`, FA, L-FA, LG-FA."""
    found = derivatives(net, params, x, goal, parts, target, back)
    return added(summed(one.grads) for one in found)


def direct_feedback(net, params, x, goal, matrices, final="classifier", sent=None):
    """DFA: e / N through a matrix [k, p, g, c] a layer, its own ReLU and normalization (A3).

    DRTP (Frenkel et al. 2019) is the same with the one-hot labels `sent` in place of the error e.
    """
    made = forward(net, params, x)
    head = Head(net, final, params, made.outputs[net.blocks[-1].name], goal)
    sent = head.e if sent is None else sent
    g_z = {
        layer.path: np.einsum("nk,kpgc->npgc", sent / len(x), matrices[f"{layer.path}/w"])
        * made.layers[layer.path].firing
        for layer in net.trained(params)
    }
    return summed(layerwise(net, params, made, g_z))


def perturbed(net, params, x, goal, noise, space, parts, target, **how):
    """FG-W, FG-A, LG-FG-W, LG-FG-A and other targets, in forward mode or by finite differences.

    Args:
        noise: perturbations by path, [k, ...]: of a parameter (space weight), of a layer's
            pre-activations [k, n or 1, p, g, c] (activation) or, by block, of its output.
        parts, target: see `units` and `segments`; every loss of a segment is perturbed by itself.
        how: replicate (axes), credit (influenced, paper), ignore_norm, epsilon (of finite
            differences; None: tangents), rounding (a generator of errors in the losses whose
            difference is taken).
    """
    entering, at, found = inputs(net, params, x), ends(parts), []
    samples = len(next(iter(noise.values())))
    for blocks, paths in segments(parts, target):
        for path in paths:
            names = [block.name for block in blocks]
            chain = net.part(blocks[: names.index(at[path]) + 1])
            start = entering[names[0]]
            for k in range(samples):
                one = {name: v[k] for name, v in noise.items() if _inside(chain, name)}
                grads = _sample(chain, params, start, goal, one, path, space, how)
                found.append({name: grad / samples for name, grad in grads.items()})
    return added(found)


def _inside(chain, path):
    return path.split("/")[0] in {block.name for block in chain.blocks}


def _sample(chain, params, x, goal, noise, readout, space, how):
    """The gradient of one chain from one perturbation of it."""
    last = chain.blocks[-1].name
    made = forward(chain, params, x, noise)
    head = Head(chain, readout, params, made.outputs[last], goal)
    kept = how.get("replicate", ("patch", "group")) if head.replicated else ("patch", "group")
    joint = tuple(COPY_AXES[axis] for axis in ("patch", "group") if axis not in kept)
    if how.get("epsilon") is None:
        d = head.copies(made.tangents[last])
        d = d.sum(joint, keepdims=True) if joint else d
    else:
        rounding = how.get("rounding")
        d = _difference(chain, params, x, noise, head, how["epsilon"], joint, rounding)
    route = getattr(routes, how.get("credit", "influenced"))
    shapes = tuple((path, np.shape(value)) for path, value in params.items())
    masks, estimates = route(chain, shapes, x.shape, readout, tuple(noise)), {}
    for path, u in noise.items():
        mask = masks[path]
        mask = mask.any(tuple(axis - 3 for axis in joint), keepdims=True) if joint else mask
        estimates[path] = (mask * d / len(x)).sum((-3, -2, -1)) * u
    return pulled_back(chain, params, x, made, estimates, space, how.get("ignore_norm", False))


def pulled_back(chain, params, x, made, estimates, space, ignore_norm=False):
    """Estimates of the derivative in a space -> gradients of the weights."""
    if space == "weight":
        return estimates
    if space == "activation":
        g_z = {path: g * made.layers[path].mask for path, g in estimates.items()}
        return summed(layerwise(chain, params, made, g_z, ignore_norm))
    return added(
        summed(
            backward(chain.part([block]), params, made, {block.name: estimates[block.name]}).grads
        )
        for block in chain.blocks
    )


def _difference(chain, params, x, noise, head, eps, joint, rounding=None):
    """(l(eps u) - l(0)) / eps for every copy: times u it is the paper's eps u / eps^2."""
    moved = {path: params[path] + eps * u for path, u in noise.items() if path in params}
    shift = {path: eps * u for path, u in noise.items() if path not in params}
    output = forward(chain, params | moved, x, shift=shift).outputs[chain.blocks[-1].name]
    moved, still = head.moved_copies(output, joint), head.loss[:, None, None]
    if rounding is not None:
        # Each of the two losses is rounded by itself, so a small difference keeps few digits.
        moved, still = (v * (1 + 6e-8 * rounding.uniform(-1, 1, v.shape)) for v in (moved, still))
    return (moved - still) / eps


def of_readout(net, path, params, features, goal):
    """The gradients of one readout from the features it reads."""
    return Head(net, path, params, features, goal).gradients()
