"""Targets projected on guesses in any network (semantics B1).

The scalars are those of `oracle.fournier`, which is checked against golden arrays.
"""

import numpy as np

from oracle import fournier, ren
from oracle.network import backward, forward


def arrays(found, space, net, params):
    """The derivatives of a `Back` at what a space perturbs, per example, by name."""
    if space == "block_output":
        return dict(found.outputs)
    if space == "weight":
        return dict(found.grads)
    trained = {layer.path for layer in net.trained(params)}
    return {path: dz for path, dz in found.z.items() if path in trained}


def total(many, space, net, params):
    """Sums over segments."""
    return ren.added(arrays(found, space, net, params) for found in many)


def jacobian(net, params, x, directions, space):
    """Directions at the next block's output, pulled back through it, over the batch size."""
    entering, guess = ren.inputs(net, params, x), {}
    for own, after in zip(net.blocks, net.blocks[1:], strict=False):
        chain = net.part([own, after])
        made = forward(chain, params, entering[own.name])
        injected = {after.name: directions[f"jacobian/{after.name}"] / len(x)}
        found = arrays(backward(chain, params, made, injected), space, chain, params)
        guess |= {name: v for name, v in found.items() if name.split("/")[0] == own.name}
    return guess


def _groups(names, how):
    def chain(name):
        return how["chains"].get(name.split("/")[0], "net")

    title = {"tensor": lambda n: n, "block": lambda n: n.split("/")[0], "net": chain}
    found = {}
    for name in names:
        found.setdefault(title[how["grouping"]](name), []).append(name)
    return found.values()


def along(target, guess, how):
    """The estimate of every array of the guess, in its shape."""
    found = {}
    for names in _groups(guess, how):
        sides = [
            np.concatenate([side[name].reshape(len(side[name]), -1) for name in names], 1)
            for side in (target, guess)
        ]
        rows = fournier.estimate(*sides, how)
        ends = np.cumsum([guess[name][0].size for name in names])[:-1]
        for name, part in zip(names, np.split(rows, ends, 1), strict=True):
            found[name] = part.reshape(guess[name].shape)
    return found


def project(net, params, x, target, guess, space, how, exact):
    """Gradients of the weights from a target projected on a guess.

    Args:
        target, guess: by name, [n, ...] per example; given noise may have one row for all.
        how: as in `oracle.fournier`; prior: what the noise corrects (a control variate).
        exact: names of blocks that take the target as it is.
    """
    made, prior = forward(net, params, x), how.get("prior", {})
    if space == "weight" and how["granularity"] == "batch":
        target, guess, prior = (
            {name: v.sum(0, keepdims=True) for name, v in side.items()}
            for side in (target, guess, prior)
        )
    left = {name: v - prior.get(name, 0.0) for name, v in target.items()}
    ours = {name: v for name, v in guess.items() if name.split("/")[0] not in exact}
    ours = {name: np.broadcast_to(v, target[name].shape) for name, v in ours.items()}
    if how.get("masked") and space == "activation":
        ours = {name: v * made.layers[name].mask for name, v in ours.items()}
    found = along(left, ours, how)
    found = {name: v + prior.get(name, 0.0) for name, v in found.items()}
    found |= {name: v for name, v in target.items() if name.split("/")[0] in exact}
    if space == "weight":
        return ren.summed(found)
    if space == "activation":
        return ren.summed(ren.layerwise(net, params, made, found))
    return ren.pulled_back(net, params, x, made, found, space)
