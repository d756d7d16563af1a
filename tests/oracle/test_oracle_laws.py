"""What the oracle must satisfy by itself: differences approach tangents, projections are such."""

from itertools import pairwise

import numpy as np
import pytest

from oracle import fournier, layers, ren
from oracle.build import local_mixer
from oracle.layers import Layer, attention_along, attention_back

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _same_numbers():
    """Of every test, whichever ran before it."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


PLACES = {"norm": "local_layer_norm", "places": ("before_linear", "after_linear"), "eps": 1e-2}


def _mixer():
    params = {}
    shapes = {"block0/channel": ((5, 2, 3), (2, 3)), "block1/token": ((2, 2), (2,))}
    shapes |= {"block1/channel": ((6, 2, 3), (2, 3))}
    shapes |= {f"block{b}/group": ((2, 3, 3), (2, 3)) for b in range(2)}
    shapes |= dict.fromkeys(("heads/block0", "heads/block1", "classifier"), ((6, 4), (4,)))
    for path, (w, b) in shapes.items():
        params |= {f"{path}/w": RNG.normal(size=w), f"{path}/b": RNG.normal(size=b)}
    return params, RNG.normal(size=(3, 2, 1, 5)), np.eye(4)[[0, 3, 1]]


@pytest.mark.parametrize("space", ["weight", "activation"])
@pytest.mark.parametrize("target", ["global", "local", "above", "sum"])
def test_finite_differences_approach_the_tangent(target, space):
    net, (params, x, onehot) = local_mixer(2, **PLACES), _mixer()
    names = {p: v.shape for p, v in params.items() if p.startswith("block")}
    if space == "activation":
        names = {p.removesuffix("/w"): (3, 2, 2, 3) for p in names if p.endswith("/w")}
    noise = {p: RNG.choice([-1.0, 1.0], (2, *shape)) for p, shape in names.items()}
    parts = ren.units(net, 1, "final" if target == "global" else "local")
    given = (net, params, x, onehot, noise, space, parts, target)
    exact = ren.perturbed(*given, replicate=("group",))
    near = ren.perturbed(*given, replicate=("group",), epsilon=1e-7)
    for path, value in exact.items():
        np.testing.assert_allclose(near[path], value, atol=1e-4 * max(1, np.abs(value).max()))


def test_attention_is_differentiated_as_it_computes():
    """Its derivative along a direction by differences, its pull-back by the derivative."""
    x, u = RNG.normal(size=(2, 3, 4, 2, 6))
    d, step = RNG.normal(size=(3, 4, 2, 2)), 1e-6
    layer = Layer("attend", "attention")
    near = [layers.value(layer, x, x + sign * step * u) for sign in (1, -1)]
    along = attention_along(x, u)
    np.testing.assert_allclose((near[0] - near[1]) / (2 * step), along, atol=1e-8)
    np.testing.assert_allclose((attention_back(x, d) * u).sum(), (along * d).sum())


def test_attention_by_its_definition():
    """Position by position and head by head (Vaswani et al. 2017, equation 1)."""
    x = RNG.normal(size=(2, 3, 2, 6))
    found = layers.value(Layer("attend", "attention"), x, x)
    for n, p, g in np.ndindex(2, 3, 2):
        query = x[n, p, g, :2]
        weights = [np.exp(query @ x[n, q, g, 2:4] / 2**0.5) for q in range(3)]
        read = sum(w * x[n, q, g, 4:] for q, w in enumerate(weights)) / sum(weights)
        np.testing.assert_allclose(found[n, p, g], read)


def _chain():
    widths = (5, 6, 4, 7)
    blocks = [{"w": RNG.normal(size=(a, b)), "b": RNG.normal(size=b)} for a, b in pairwise(widths)]
    heads = [{"w": RNG.normal(size=(b, 10)), "b": RNG.normal(size=10)} for b in widths[1:]]
    return blocks, heads, RNG.normal(size=(4, 5)), np.array([1, 0, 7, 3])


@pytest.mark.parametrize("grouping", ["tensor", "block", "net"])
@pytest.mark.parametrize("granularity", ["example", "batch", "span"])
@pytest.mark.parametrize("space", fournier.SPACES)
@pytest.mark.parametrize("target", ["global", "local", "above", "sum"])
def test_a_target_projected_on_itself_is_exact(target, space, granularity, grouping):
    """And that is the derivative of the target's losses by central differences, to 1e-6."""
    blocks, heads, x, labels = _chain()
    how = {"target": target, "guess": target, "space": space}
    how |= {"granularity": granularity, "grouping": grouping}
    found = fournier.gradients(blocks, heads, x, labels, **how)["blocks"]
    for j in range(3):
        direction = RNG.normal(size=blocks[j]["w"].shape)
        kind = target if j < 2 else "global"
        values = []
        for step in (1e-6, -1e-6):
            moved = [dict(block) for block in blocks]
            moved[j]["w"] = moved[j]["w"] + step * direction
            xs = fournier.run(moved, x)
            values.append(sum(_loss(heads, xs, labels, k) for k in fournier.sites(kind, j, 2)))
        np.testing.assert_allclose(
            (found[j]["w"] * direction).sum(), (values[0] - values[1]) / 2e-6, atol=1e-6, rtol=1e-6
        )


def _loss(heads, xs, labels, k):
    logits = xs[k + 1] @ heads[k]["w"] + heads[k]["b"]
    return fournier.cross_entropy(logits, np.eye(10)[labels])[0].mean()


def test_controls_keep_the_guess():
    """A random sign times the batch's guess is the local gradient or its opposite."""
    blocks, heads, x, labels = _chain()
    how = {"space": "weight", "granularity": "batch"}
    local = fournier.gradients(blocks, heads, x, labels, target="local", guess="local", **how)
    how |= {"target": "global", "guess": "local", "normalisation": "none"}
    coin = fournier.gradients(blocks, heads, x, labels, coefficient="coin", coins=-1.0, **how)
    sign = fournier.gradients(blocks, heads, x, labels, coefficient="sign", **how)
    for j in range(2):
        for name, value in local["blocks"][j].items():
            np.testing.assert_allclose(coin["blocks"][j][name], -value)
            np.testing.assert_allclose(np.abs(sign["blocks"][j][name]), np.abs(value))
