"""Local losses that compare examples, against their formulas in NumPy.

Networks are two blocks of one linear map and ReLU each, at every position of a grid. Losses and
their derivatives are written out here by hand, in float64; nothing of the compiler's mathematics is
used.
"""

import numpy as np
import pytest

from compiler.compile import compile_plan
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.testing.learning import batch_of, state_of

N, CLASSES = 5, 3
BLOCKS = ("block0", "block1")


def program(patches, local, augment="none"):
    """Greedy exact gradients of local losses in a network of `patches` x `patches` positions."""
    text = f"""
fgspec: 1
name: by-hand
rule: lg-bp
data: {{source: {{type: synthetic}}, batch_size: {N}, augment: {augment}}}
architecture:
  type: chain
  patches: {patches}
  normalization: {{type: none}}
  blocks: [[{{type: dense, channels: 4}}], [{{type: dense, channels: 6}}]]
losses: {{local: {local}}}
training: {{steps: 2}}
"""
    side = 2 * patches
    info = DatasetInfo("small", (side, side, 2), CLASSES, 20, 10, (0.4, 0.6), (0.2, 0.3))
    return compile_plan(make_plan(loads(text).experiment, info))


def wide(tree):
    """Nested arrays in float64."""
    if isinstance(tree, dict):
        return {name: wide(own) for name, own in tree.items()}
    return np.asarray(tree, np.float64)


def cut(image, patches):
    """Standardized images as patches [n, rows, columns, pixels]."""
    seen = (np.float64(image) - np.array([0.4, 0.6])) / np.array([0.2, 0.3])
    seen = seen.reshape(-1, patches, 2, patches, 2, 2).transpose(0, 1, 3, 2, 4, 5)
    return seen.reshape(-1, patches, patches, 8)


def block(x, params):
    """The features after a block, [n, r, q, c]."""
    w, b = params["dense0"]["w"], params["dense0"]["b"]
    return np.maximum(x @ w.reshape(x.shape[-1], -1) + b.reshape(-1), 0)


def checked(program, loss):
    """Compare losses and gradients with those of `loss`.

    Args:
        program: to check.
        loss: (features [n, r, q, c], head, labels) -> the mean loss, its derivative by features,
            and those by parameters of the head. Of two views it gets the features after the last
            block instead of labels.
    """
    state, batch = state_of(program), batch_of(program, seed=4)
    params, known = wide(state.params), np.asarray(batch["label"])
    x = cut(batch["image"], program.plan.network.grid[0])
    if program.plan.views > 1:
        seen = np.random.default_rng(7).random((2 * N, *batch["image"].shape[1:]), np.float32)
        batch |= {"views": seen}
        known = x = cut(seen, program.plan.network.grid[0])
        for name in BLOCKS:
            known = block(known, params["blocks"][name])
    found, metrics = program.gradient(state, batch, float64=True)
    for name in BLOCKS:
        h = block(x, params["blocks"][name])
        value, by_h, by_head = loss(h, params["heads"][name], known)
        error = by_h * (h > 0)
        np.testing.assert_allclose(metrics[f"local_loss/{name}"], value, rtol=1e-9)
        own = found["blocks"][name]["dense0"]
        by_w = np.einsum("nrqi,nrqo->io", x, error)
        np.testing.assert_allclose(own["w"].reshape(by_w.shape), by_w, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(
            own["b"].reshape(-1), error.sum((0, 1, 2)), rtol=1e-7, atol=1e-12
        )
        for path, wanted in by_head.items():
            at = found["heads"][name]
            for key in path.split("/"):
                at = at[key]
            np.testing.assert_allclose(at.reshape(wanted.shape), wanted, rtol=1e-7, atol=1e-12)
        assert np.abs(by_w).max() > 1e-4
        x = h


def cross_entropy(o, labels):
    """The mean, and its derivative."""
    powers = np.exp(o - o.max(1, keepdims=True))
    p, wanted = powers / powers.sum(1, keepdims=True), np.eye(CLASSES)[labels]
    return -(wanted * np.log(p)).sum(1).mean(), (p - wanted) / N


def unit(rows):
    centred = rows - rows.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    return centred / length, length


def similarity(rows, labels):
    """The mean squared difference of similarities over all pairs, and its derivative."""
    u, length = unit(rows)
    v, _ = unit(np.eye(CLASSES)[labels])
    gap = u @ u.T - v @ v.T
    by_s = 2 * gap / N**2
    by_u = (by_s + by_s.T) @ u
    by_centred = (by_u - (by_u * u).sum(1, keepdims=True) * u) / length
    return (gap**2).mean(), by_centred - by_centred.mean(1, keepdims=True)


def predicted(flat, head, labels):
    """The prediction loss of a linear head on flat features, and its derivatives."""
    value, error = cross_entropy(flat @ head["linear"]["w"] + head["linear"]["b"], labels)
    return value, error @ head["linear"]["w"].T, flat.T @ error, error.sum(0)


def predsim_of_vectors(beta):
    def loss(h, head, labels):
        flat = h.reshape(N, -1)
        value, by_flat, by_w, by_b = predicted(flat, head, labels)
        f = head["similar"]["w"]
        alike, by_rows = similarity(flat @ f, labels)
        by_h = (1 - beta) * by_flat + beta * by_rows @ f.T
        by_head = {
            "linear/w": (1 - beta) * by_w,
            "linear/b": (1 - beta) * by_b,
            "similar/w": beta * flat.T @ by_rows,
        }
        return (1 - beta) * value + beta * alike, by_h.reshape(h.shape), by_head

    return loss


def shifts(rows, columns):
    """For each place in a 3x3 window: from where to where positions of a grid are shifted."""
    for i in range(3):
        for j in range(3):
            for r in range(rows):
                for q in range(columns):
                    if 0 <= r + i - 1 < rows and 0 <= q + j - 1 < columns:
                        yield (i, j), (r + i - 1, q + j - 1), (r, q)


def predsim_of_maps(beta):
    def loss(h, head, labels):
        _, rows, columns, width = h.shape
        value, by_flat, by_w, by_b = predicted(h.reshape(N, -1), head, labels)
        f = head["similar"]["w"].reshape(3, 3, width, width)
        maps = np.zeros_like(h)
        for (i, j), (a, b), (r, q) in shifts(rows, columns):
            maps[:, r, q] += h[:, a, b] @ f[i, j]
        centred = maps - maps.mean((1, 2), keepdims=True)
        spread = np.sqrt((centred**2).mean((1, 2)))
        alike, by_spread = similarity(spread, labels)
        by_maps = centred * (by_spread / spread)[:, None, None] / (rows * columns)
        by_h, by_f = np.zeros_like(h), np.zeros_like(f)
        for (i, j), (a, b), (r, q) in shifts(rows, columns):
            by_h[:, a, b] += by_maps[:, r, q] @ f[i, j].T
            by_f[i, j] += h[:, a, b].T @ by_maps[:, r, q]
        by_head = {
            "linear/w": (1 - beta) * by_w,
            "linear/b": (1 - beta) * by_b,
            "similar/w": beta * by_f,
        }
        by_h = (1 - beta) * by_flat.reshape(h.shape) + beta * by_h
        return (1 - beta) * value + beta * alike, by_h, by_head

    return loss


def clapp(steps):
    def loss(z, head, labels):
        _, rows, columns, width = z.shape
        w = head["predict"]["w"].reshape(width, steps, width)
        value, by_z, by_w = 0.0, np.zeros_like(z), np.zeros_like(w)
        for step in range(1, steps + 1):
            share = 1 / (2 * steps * N * (rows - step) * columns)
            for n in range(N):
                for r in range(rows - step):
                    for q in range(columns):
                        c, m = z[n, r, q], w[:, step - 1]
                        for image, sign in ((n, -1), ((n + 1) % N, 1)):
                            below = z[image, r + step, q]
                            margin = 1 + sign * (c @ m @ below)
                            value += share * max(0, margin)
                            slope = share * sign * (margin > 0)
                            by_z[n, r, q] += slope * m @ below
                            by_z[image, r + step, q] += slope * c @ m
                            by_w[:, step - 1] += slope * np.outer(c, below)
        return value, by_z, {"predict/w": by_w}

    return loss


def averages(z, side):
    """Means over a grid of parts, [n, f], and the function that spreads a derivative over them."""
    n, rows, columns, width = z.shape
    parts = (n, side, rows // side, side, columns // side, width)

    def spread(by_means):
        each = by_means.reshape(n, side, 1, side, 1, width) * side**2 / (rows * columns)
        return np.broadcast_to(each, parts).reshape(z.shape)

    return z.reshape(parts).mean((2, 4)).reshape(n, -1), spread


def clapp_plus_plus(contexts, sides):
    """`sides` are those of the grids of each block."""
    left = list(sides)

    def loss(z, head, last):
        side = left.pop(0)
        rows, spread = averages(z, side)
        value, by_rows, by_head = 0.0, np.zeros_like(rows), {}
        for context in contexts:
            known = rows if context == "own" else averages(last, sides[-1])[0]
            b = head[f"to_{context}"]["w"].reshape(rows.shape[1], known.shape[1])
            by_b = np.zeros_like(b)
            for n in range(2 * N):
                view = (n + N) % (2 * N)
                for other, sign in ((view, -1), ((view + 1) % (2 * N), 1)):
                    margin = 1 + sign * (rows[other] @ b @ known[n])
                    value += max(0, margin) / (2 * N)
                    slope = sign * (margin > 0) / (2 * N)
                    by_rows[other] += slope * b @ known[n]
                    by_b += slope * np.outer(rows[other], known[n])
            by_head[f"to_{context}/w"] = by_b
        return value, spread(by_rows), by_head

    return loss


@pytest.mark.parametrize("context", ["own", "last", "both"])
@pytest.mark.parametrize("grid", [(1,), (4, 2)])
def test_clapp_plus_plus(context, grid):
    objective = f"{{type: clapp_plus_plus, context: {context}, grid: {list(grid)}}}"
    crop = "{type: crop_flip, padding: 1}"
    made = program(4, f"{{objective: {objective}, aggregation: pooled}}", crop)
    contexts = ("own", "last") if context == "both" else (context,)
    checked(made, clapp_plus_plus(contexts, grid * (2 // len(grid))))


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_predsim_of_vectors(beta):
    local = f"{{objective: {{type: predsim, beta: {beta}}}}}"
    checked(program(1, local), predsim_of_vectors(beta))


def test_predsim_of_maps():
    """At 2x2 positions the head's pooling changes nothing."""
    local = "{objective: {type: predsim, beta: 0.6}, aggregation: pooled}"
    checked(program(2, local), predsim_of_maps(0.6))


@pytest.mark.parametrize("steps", [1, 2])
def test_clapp(steps):
    local = f"{{objective: {{type: clapp, steps: {steps}}}, aggregation: pooled}}"
    checked(program(3, local), clapp(steps))


def test_rows_without_variation_have_finite_gradients():
    """As after a block whose units are all silent."""
    made = program(2, "{objective: predsim, aggregation: pooled}")
    state = state_of(made)
    silent = state.params["blocks"]["block0"]["dense0"]
    silent["b"] = np.full_like(silent["b"], -1e3)
    found, metrics = made.gradient(state, batch_of(made))
    assert np.isfinite(metrics["local_loss/block0"])
    numbers = [
        leaf for block in found["heads"].values() for own in block.values() for leaf in own.values()
    ]
    assert all(np.isfinite(leaf).all() for leaf in numbers)
    assert np.isfinite(found["blocks"]["block0"]["dense0"]["w"]).all()
