"""The rules of Ren et al. 2022 in a few lines each (semantics A2, A3).

Every rule returns {parameter path: gradient}, the gradient of the mean over the batch. Heads and
classifier always have the exact gradient of their own one-layer loss.
"""

import numpy as np

from oracle import credit as routes
from oracle.network import Head, backward, forward, layerwise

COPY_AXES = {"batch": 0, "patch": 1, "group": 2}


def segments(net, every, isolated):
    """[(chain, [blocks that end in a local loss])]: one chain, or one for every local loss."""
    if not isolated:
        return [(net, [block.name for block in net.blocks[every - 1 :: every]])]
    starts = range(0, len(net.blocks), every)
    chains = [net.part(net.blocks[start : start + every]) for start in starts]
    return [(chain, [chain.blocks[-1].name]) for chain in chains]


def readouts(net, params, x, onehot, every=None):
    """The gradients of the classifier and of every local head, by their own clean losses."""
    outputs = forward(net, params, x).outputs
    names = [] if every is None else [b.name for b in net.blocks[every - 1 :: every]]
    sites = [(f"heads/{name}", name) for name in names]
    grads = {}
    for path, name in [*sites, ("classifier", net.blocks[-1].name)]:
        grads |= Head(net, path, params, outputs[name], onehot).gradients()
    return grads


def summed(grads):
    """Sum of per-example gradients."""
    return {path: grad.sum(0) for path, grad in grads.items()}


def reverse(net, params, x, onehot, losses="final", every=1, back=None):
    """BP, L-BP, LG-BP and, with backward weights `back`, FA, L-FA, LG-FA.

    Args:
        losses: final, local (no isolation), greedy (isolated blocks) or overlapping.
    """
    grads = readouts(net, params, x, onehot, None if losses == "final" else every)
    if losses == "overlapping":
        return grads | _overlapping(net, params, x, onehot)
    for chain, names in segments(net, every, losses == "greedy"):
        made = forward(chain, params, x)
        sites = [(f"heads/{name}", name) for name in names]
        if losses == "final":
            sites = [("classifier", net.blocks[-1].name)]
        injected = {
            name: Head(net, path, params, made.outputs[name], onehot).to_features(back)
            for path, name in sites
        }
        grads |= summed(backward(chain, params, made, injected, back)[0])
        x = made.outputs[chain.blocks[-1].name]
    return grads


def _overlapping(net, params, x, onehot):
    """Each local loss trains its own block and the one before; both phases summed (A3)."""
    grads, outputs = {}, [x, *forward(net, params, x).outputs.values()]
    for end, block in enumerate(net.blocks):
        start = max(end - 1, 0)
        chain = net.part(net.blocks[start : end + 1])
        made = forward(chain, params, outputs[start])
        head = Head(net, f"heads/{block.name}", params, made.outputs[block.name], onehot)
        found = summed(backward(chain, params, made, {block.name: head.to_features()})[0])
        grads = {path: grads.get(path, 0) + found.get(path, 0) for path in grads | found}
    return grads


def direct_feedback(net, params, x, onehot, matrices):
    """DFA: e / N through a matrix [k, p, g, c] a layer, its own ReLU and normalization (A3)."""
    made = forward(net, params, x)
    head = Head(net, "classifier", params, made.outputs[net.blocks[-1].name], onehot)
    g_z = {
        layer.path: np.einsum("nk,kpgc->npgc", head.e / len(x), matrices[f"{layer.path}/w"])
        * made.layers[layer.path].firing
        for layer in net.layers()
    }
    return readouts(net, params, x, onehot) | summed(layerwise(net, made, g_z))


def perturbed(net, params, x, onehot, noise, space, **how):
    """FG-W, FG-A, LG-FG-W, LG-FG-A, in forward mode or by finite differences.

    Args:
        noise: perturbations by path, [k, ...]: of a parameter (space weight) or of a layer's
            pre-activations [k, n or 1, p, g, c] (space activation).
        how: losses (final, greedy), every, replicate (axes), credit (influenced, paper),
            ignore_norm, epsilon (of finite differences; None: tangents).
    """
    greedy = how.get("losses", "final") == "greedy"
    every = how.get("every", 1)
    grads = readouts(net, params, x, onehot, every if greedy else None)
    chains = segments(net, every, True) if greedy else [(net, [])]
    for chain, names in chains:
        readout = f"heads/{names[-1]}" if greedy else "classifier"
        samples = len(next(iter(noise.values())))
        found = []
        for k in range(samples):
            one = {path: v[k] for path, v in noise.items() if _inside(chain, path)}
            found.append(_sample(chain, params, x, onehot, one, readout, space, how))
        grads |= {path: sum(f[path] for f in found) / samples for path in found[0]}
        x = forward(chain, params, x).outputs[chain.blocks[-1].name]
    return grads


def _inside(chain, path):
    return path.split("/")[0] in {block.name for block in chain.blocks}


def _sample(chain, params, x, onehot, noise, readout, space, how):
    """The gradient of one chain from one perturbation of it."""
    last = chain.blocks[-1].name
    made = forward(chain, params, x, noise)
    head = Head(chain, readout, params, made.outputs[last], onehot)
    kept = how.get("replicate", ("patch", "group"))
    joint = tuple(COPY_AXES[axis] for axis in ("patch", "group") if axis not in kept)
    if how.get("epsilon") is None:
        d = head.copies(made.tangents[last])
        d = d.sum(joint, keepdims=True) if joint else d
    else:
        d = _difference(chain, params, x, noise, head, how["epsilon"], joint)
    route = getattr(routes, how.get("credit", "influenced"))
    shapes = tuple((path, value.shape) for path, value in params.items())
    estimates = {}
    for path, u in noise.items():
        mask = route(chain, shapes, x.shape, readout, path)
        mask = mask.any(tuple(axis - 3 for axis in joint), keepdims=True) if joint else mask
        estimates[path] = (mask * d / len(x)).sum((-3, -2, -1)) * u
    if space == "weight":
        return estimates
    g_z = {path: g * made.layers[path].firing for path, g in estimates.items()}
    return summed(layerwise(chain, made, g_z, how.get("ignore_norm", False)))


def _difference(chain, params, x, noise, head, eps, joint):
    """(l(eps u) - l(0)) / eps for every copy: times u it is the paper's eps u / eps^2."""
    moved = {path: params[path] + eps * u for path, u in noise.items() if path in params}
    shift = {path: eps * u for path, u in noise.items() if path not in params}
    output = forward(chain, params | moved, x, shift=shift).outputs[chain.blocks[-1].name]
    return (head.moved_copies(output, joint) - head.loss[:, None, None]) / eps
