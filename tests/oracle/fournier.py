"""The rules of Fournier et al. 2023 on a chain of dense blocks (semantics B1).

Block j: z = x w (+ b), output ReLU(z). `blocks` is [{"w": [in, out], "b": [out]}, ...], b optional;
`heads` one such readout a block, the last of them the classifier. Every per-example gradient is of
the *mean* loss and carries the factor 1/N, in targets, in guesses and in the |G|^2 + `epsilon`.
"""

import numpy as np

from oracle.layers import cross_entropy

SPACES = ("weight", "activation", "block_output")


def run(blocks, x):
    """Inputs of every block, and of the readout of the last: [x_0, ..., x_J]."""
    xs = [x]
    for block in blocks:
        xs.append(np.maximum(xs[-1] @ block["w"] + block.get("b", 0.0), 0.0))
    return xs


def readout_error(head, x, onehot):
    """(p - y) / N of the cross entropy of x under a head."""
    return cross_entropy(x @ head["w"] + head.get("b", 0.0), onehot)[1] / len(x)


def gradient_of(blocks, head, xs, onehot, site):
    """Per-example gradients of the loss after block `site`, for every block up to it.

    Each is {"block_output": dL/dx, "activation": dL/dz, "w": dL/dw, "b": dL/db}, all [n, ...].
    """
    found = [None] * len(blocks)
    d = readout_error(head, xs[site + 1], onehot) @ head["w"].T
    for j in range(site, -1, -1):
        dz = d * (xs[j + 1] > 0)
        found[j] = {"block_output": d, "activation": dz, "w": np.einsum("ni,no->nio", xs[j], dz)}
        if "b" in blocks[j]:
            found[j]["b"] = dz
        d = dz @ blocks[j]["w"].T
    return found


def sites(kind, j, last):
    """The losses of a target or guess of block j: global, local, above (own and next), sum."""
    own = {"local": [j], "ntk": [j], "fixed_ntk": [j], "global": [last]}
    own |= {"above": [j, j + 1], "sum": list(range(j, last + 1))}
    return own[kind]


def per_example(kind, blocks, heads, xs, onehot):
    """Per-example gradients of a target or guess, one dictionary a block but the last."""
    last = len(blocks) - 1
    by_site = [gradient_of(blocks, heads[k], xs, onehot, k) for k in range(last + 1)]
    return [
        {name: sum(by_site[k][j][name] for k in sites(kind, j, last)) for name in by_site[j][j]}
        for j in range(last)
    ]


def _flat(arrays):
    """[n, ...] arrays side by side as [n, d]."""
    return np.concatenate([a.reshape(len(a), -1) for a in arrays], 1)


def scale(guess, normalisation, epsilon, kurtosis):
    """What a coefficient is multiplied by, per row of [n, d]."""
    d = guess.shape[1]
    square = (guess**2).sum(1) + epsilon
    return {
        "none": np.ones(len(guess)),
        "squared_norm": 1.0 / np.where(square > 0, square, 1.0),  # a guess of zero adds nothing
        "dimension": np.full(len(guess), 1.0 / d),
        "optimal": np.full(len(guess), 1.0 / (d + kurtosis - 1.0)),
    }[normalisation]


SHORTEST = 1e-3
"""Directions of a span so much shorter than its longest do not count."""


def _by_rounded_gram(target, guess, rng):
    """The projection on a span by a Gram matrix that float32 keeps to the digits of its largest."""
    gram = guess @ guess.T
    gram = gram + 6e-8 * np.abs(gram).max() * rng.uniform(-1, 1, gram.shape)
    inverse = np.linalg.pinv((gram + gram.T) / 2, rcond=SHORTEST**2, hermitian=True)
    return target @ guess.T @ inverse @ guess


def estimate(target, guess, how):
    """T, G [n, d] of one group -> the estimate's rows [n, d]; their sum is the batch's.

    Granularity example: c_n G_n. batch: one coefficient <T, G> for the rows as one vector (rows
    were summed before, in weight space). span: T_n projected on the span of all rows of G.
    """
    if how["granularity"] == "span":
        if how.get("gram") is not None:
            return _by_rounded_gram(target, guess, how["gram"])
        return target @ np.linalg.pinv(guess, rcond=SHORTEST) @ guess
    if how["granularity"] == "batch":
        one = {**how, "granularity": "example"}
        return estimate(target.reshape(1, -1), guess.reshape(1, -1), one).reshape(guess.shape)
    product = (target * guess).sum(1)
    coefficient = {"raw": product, "sign": np.sign(product), "coin": how["coins"]}
    by = scale(guess, how["normalisation"], how["epsilon"], how["kurtosis"])
    return (coefficient[how["coefficient"]] * by)[:, None] * guess


def _groups(targets, names, grouping):
    """[(block, array name), ...] of every group: a tensor, a block or the whole net."""
    keys = [(j, name) for j, found in enumerate(targets) for name in names if name in found]
    if grouping == "tensor":
        return [[key] for key in keys]
    if grouping == "block":
        return [[key for key in keys if key[0] == j] for j in range(len(targets))]
    return [keys]


def estimates(targets, guesses, space, how):
    """The estimate of every array: [{name: [n, ...]}, ...], [1, ...] of batch-summed weights."""
    names = ("w", "b") if space == "weight" else (space,)
    summed = space == "weight" and how["granularity"] == "batch"
    found = [{} for _ in targets]
    for group in _groups(targets, names, how["grouping"]):
        parts = [[side[j][name] for j, name in group] for side in (targets, guesses)]
        if summed:
            parts = [[a.sum(0, keepdims=True) for a in side] for side in parts]
        rows = estimate(_flat(parts[0]), _flat(parts[1]), how)
        at = 0
        for (j, name), like in zip(group, parts[1], strict=True):
            width = like[0].size
            found[j][name] = rows[:, at : at + width].reshape(like.shape)
            at += width
    return found


def _pulled_back(space, x, output, found):
    """Estimates at a block's output or pre-activation -> gradients of its weights, exactly."""
    dz = found[space] * (output > 0)
    return {"w": x.T @ dz, "b": dz.sum(0)}


def _noise_like(noise, targets):
    """Given noise, one array for each of the targets', shared by the batch where it has one row."""
    return [
        {name: np.broadcast_to(u, side[name].shape) for name, u in given.items()}
        for given, side in zip(noise, targets, strict=True)
    ]


DEFAULTS = {
    "granularity": "example",
    "grouping": "tensor",
    "normalisation": "squared_norm",
    "coefficient": "raw",
    "coins": None,
    "epsilon": 0.0,
    "kurtosis": 3.0,
}


def gradients(blocks, heads, x, labels, *, target, guess, space, **how):
    """The update of every block, head and the classifier.

    Args:
        blocks, heads: see the module; x [n, in]; labels [n].
        target: global, local, above or sum.
        guess: local, global, above, sum; ntk or fixed_ntk, with `guess_heads` in place of `heads`;
            noise, with `noise`: one dictionary for every block but the last, by "w" and "b",
            "activation" or "block_output", each [n, ...] or [1, ...] (weights, granularity batch:
            [1, ...], the batch's own).
        space: weight, activation or block_output.
        how: see DEFAULTS; coins: given signs, one a row (an example; one in all for batch).

    Returns:
        {"blocks": [{"w", "b"}, ...], "heads": [{"w", "b"} or None, ..., classifier]}
    """
    noise, guess_heads = how.pop("noise", None), how.pop("guess_heads", heads)
    how = {**DEFAULTS, **how}
    xs, onehot = run(blocks, x), np.eye(heads[-1]["w"].shape[1])[labels]
    targets = per_example(target, blocks, heads, xs, onehot)
    if guess == "noise":
        guesses = _noise_like(noise, targets)
        if space == "weight" and how["granularity"] == "batch":
            guesses = [{name: u[:1] for name, u in side.items()} for side in guesses]
    else:
        guesses = per_example(guess, blocks, guess_heads, xs, onehot)
    found = estimates(targets, guesses, space, how)
    last = len(blocks) - 1
    updates = []
    for j, one in enumerate(found):
        made = {name: value.sum(0) for name, value in one.items()}
        made = made if space == "weight" else _pulled_back(space, xs[j], xs[j + 1], one)
        updates.append({name: made[name] for name in blocks[j]})
    exact = gradient_of(blocks, heads[last], xs, onehot, last)[last]
    updates.append({name: exact[name].sum(0) for name in blocks[last]})
    trained = {"local", "above", "sum"} & {target, guess}
    return {"blocks": updates, "heads": _readouts(heads, xs, onehot, bool(trained))}


def _readouts(heads, xs, onehot, trained):
    """Exact gradients of the classifier and, where they serve as target or guess, of the heads."""
    found = []
    for j, head in enumerate(heads):
        e = readout_error(head, xs[j + 1], onehot)
        grads = {"w": xs[j + 1].T @ e, "b": e.sum(0)}
        wanted = trained or j == len(heads) - 1
        found.append({name: grads[name] for name in head} if wanted else None)
    return found
