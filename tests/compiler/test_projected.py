"""Laws of targets projected on guesses, and of sets of perturbations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.network.network import forward
from fgspec.errors import UserError
from fgspec.spec.guesses import GUESSES
from fgspec.spec.kinds import working
from fgspec.spec.projections import GRANULARITIES
from fgspec.spec.sample_sets import Orthogonal, Projected
from fgspec.spec.spaces import SPACES

MLP = "{type: mlp, hidden: [6, 5, 4]}"
TINY = "{type: mlp, hidden: [3, 2]}"
HEADS = "losses: {local: {every: 1}}\n"
INFO = replace(networks.INFO, image_shape=(1, 1, 4), mean=(0.0,) * 4, std=(1.0,) * 4)


def _program(target, perturbation, *, heads=HEADS, architecture=MLP, estimator="forward", **more):
    perturbing = f", perturbation: {{{perturbation}}}" if perturbation else ""
    gradient = f"gradient: {{target: {target}, estimator: {{type: {estimator}}}{perturbing}}}"
    return networks.program("", architecture=architecture, more=heads + gradient, **more)


def _gradient(made, noise=None, seed=0):
    batch = networks.batch_of()
    if made.plan.data.image_shape == (1, 1, 4):
        rng = np.random.default_rng(seed)
        batch["image"] = jnp.asarray(rng.standard_normal((4, 1, 1, 4)), jnp.float32)
    return made.gradient(networks.state_of(made), batch, noise)[0]["blocks"]


MIXER = networks.MIXER % networks.LOCAL_NORM


@pytest.mark.parametrize(
    ("architecture", "space", "granularity"),
    [
        *(
            (MLP, space, granularity)
            for space in SPACES.names()
            for granularity in GRANULARITIES.names()
        ),
        (MIXER, "weight", "span"),
        (MIXER, "activation", "example"),
        (MIXER, "block_output", "batch"),
    ],
)
def test_a_target_projected_on_itself_is_itself(architecture, space, granularity):
    how = f"space: {space}, guess: {{type: global}}, projection: {{granularity: {granularity}}}"
    found = _gradient(_program("global", how, heads="", architecture=architecture))
    exact = _program("global", "", heads="", architecture=architecture, estimator="exact")
    tolerance = 1e-3 if granularity == "span" else 1e-4
    assert networks.distance(found, _gradient(exact)) < tolerance


def test_batch_norm_is_pulled_back_exactly():
    mixer = networks.MIXER % "{type: batch_norm}"
    exact = _gradient(_program("global", "", heads="", architecture=mixer, estimator="exact"))
    for space in SPACES.names():
        how = f"space: {space}, guess: {{type: global}}"
        found = _gradient(_program("global", how, heads="", architecture=mixer))
        assert networks.distance(found, exact) < 1e-4


def test_the_coefficient_is_the_derivative_in_forward_mode():
    made = _program("global", "space: block_output, guess: {type: local}, projection: {type: none}")
    state, batch = networks.state_of(made), networks.batch_of()
    params, blocks = state.params, made.plan.network.blocks
    x = (batch["image"] - np.float32(INFO.mean[0])).reshape(4, 1, 1, -1)
    context = networks.context_of(made.plan, state, batch["label"])
    losses = context.losses
    own = {name: params["blocks"][name] for name in ("block0", "block1", "block2")}
    site = made.plan.units[0][1]
    out = forward(blocks[:1], own, x).output
    guess = jax.grad(lambda f: losses(site, f).mean())(out)

    def final(features):
        return losses(made.plan.units[-1][1], forward(blocks[1:], own, features).output) / 4

    _, along = jax.jvp(final, (out,), (guess,))
    _, pull = jax.vjp(lambda p: forward(blocks[:1], {"block0": p}, x).output, own["block0"])
    expected = pull(along[:, None, None, None] * guess)[0]
    found = networks.estimated(made.plan, params, x, context).grads["blocks"]["block0"]
    assert networks.distance(found, expected) < 1e-5


@pytest.mark.parametrize("space", ["weight", "activation"])
def test_inner_products_equal_pushed_tangents(space):
    """1/d times the joint estimate is the projection with normalization 1/d."""
    joint = _program("global", f"space: {space}, guess: {{type: normal}}, samples: 3", heads="")
    scaled = "projection: {type: dimension}"
    how = f"space: {space}, guess: {{type: normal}}, samples: 3, {scaled}"
    dot = _program("global", how, heads="")
    shapes = {n: e.shape for part in networks.elements(joint) for n, e in part.items()}
    rows = 1 if space == "activation" else 0
    size = sum(int(np.prod(shape[rows:])) for shape in shapes.values())
    pushed = jax.tree.map(lambda g: g / size, _gradient(joint))
    assert networks.distance(_gradient(dot), pushed) < 1e-4


@pytest.mark.parametrize("control", [n for n, g in GUESSES.kinds().items() if g.predicts])
def test_a_control_variate_keeps_the_mean(control):
    """A full basis of the block outputs, scaled to unit variance, gives the exact gradient."""
    size = 4 * (3 + 2 + 2)
    how = (
        f"space: block_output, guess: {{type: normal}}, control_variate: {control}, "
        f"projection: {{granularity: batch, grouping: net}}, samples: {size}"
    )
    small = "{type: mlp, hidden: [3, 2, 2]}"
    made = _program("global", how, architecture=small, info=INFO)
    shapes = {f"block{b}": (4, 1, 1, width) for b, width in enumerate((3, 2, 2))}
    noise = {n: jnp.asarray(u) * size**0.5 for n, u in networks.basis(shapes).items()}
    exact = _program("global", "", heads="", architecture=small, estimator="exact", info=INFO)
    assert networks.distance(_gradient(made, noise), _gradient(exact)) < 1e-4
    assert networks.distance(_gradient(made), _gradient(exact)) > 1e-3


@pytest.mark.parametrize("kind", ["orthogonal", "projected", "coordinates"])
@pytest.mark.parametrize("space", ["weight", "activation", "block_output"])
def test_as_many_directions_as_dimensions_leave_nothing_out(kind, space):
    size = {"weight": 4 * 3 + 3 + 3 * 2 + 2, "activation": 5, "block_output": 5}[space]
    how = f"space: {space}, guess: {{type: normal, set: {kind}}}, samples: {size}"
    made = _program("global", how, heads="", architecture=TINY, info=INFO)
    exact = _program("global", "", heads="", architecture=TINY, estimator="exact", info=INFO)
    assert networks.distance(_gradient(made), _gradient(exact)) < 2e-3


@pytest.mark.parametrize("rows", [0, 1])
def test_orthogonal_directions_are_orthogonal_over_all_arrays(rows):
    draws = {
        "a": jax.random.normal(jax.random.key(0), (3, 2, 4)),
        "b": jax.random.normal(jax.random.key(1), (3, 2, 5)),
    }
    u, v = working(Orthogonal()).spread(draws, rows)
    flat = np.concatenate([np.asarray(u[n]).reshape(3, 2 if rows else 1, -1) for n in "ab"], -1)
    gram = np.einsum("krd,jrd->rkj", flat, flat)
    np.testing.assert_allclose(
        gram, np.broadcast_to(np.eye(3) * flat.shape[-1], gram.shape), atol=1e-4
    )
    np.testing.assert_allclose(v["a"], u["a"] / 3, rtol=1e-6)


def test_the_orthogonal_projection_is_the_nearest_of_the_span():
    rng = np.random.default_rng(0)
    directions, gradient = rng.standard_normal((3, 7)), rng.standard_normal(7)
    u, v = working(Projected()).spread({"w": jnp.asarray(directions, jnp.float32)}, 0)
    found = (np.asarray(u["w"]) @ gradient) @ np.asarray(v["w"])
    nearest = directions.T @ np.linalg.lstsq(directions.T, gradient, rcond=None)[0]
    np.testing.assert_allclose(found, nearest, rtol=1e-4)


def test_finite_differences_approach_the_tangent_and_opposites_faster():
    made = networks.program("lg-fg-a", perturbation="guess: {type: normal}, samples: 2")
    shapes = {n: e.shape for part in networks.elements(made) for n, e in part.items()}
    rng = np.random.default_rng(3)
    half = {n: jnp.asarray(rng.standard_normal((1, *s)), jnp.float32) for n, s in shapes.items()}
    state, batch = networks.state_of(made), networks.batch_of()
    twice = {n: jnp.concatenate([u, u]) for n, u in half.items()}
    tangent, _ = made.gradient(state, batch, twice)
    gaps = {}
    for kind in ("independent", "antithetic"):
        more = "gradient: {estimator: {type: finite_difference, epsilon: 0.001}, target: local, "
        more += f"perturbation: {{samples: 2, guess: {{type: normal, set: {kind}}}}}}}\n"
        more += "losses: {local: {every: 1}, isolate: block}"
        found, _ = networks.program("", more=more).gradient(state, batch, twice)
        gaps[kind] = networks.distance(found["blocks"], tangent["blocks"])
    assert gaps["antithetic"] < 1e-3
    assert gaps["antithetic"] < gaps["independent"] < 0.03


def test_above_is_the_own_and_the_next_loss():
    made = _program("above", "", estimator="exact")
    both, each = _gradient(made), _gradient(_program("sum", "", estimator="exact"))
    for last in ("block1", "block2"):
        assert networks.distance(both[last], each[last]) < 1e-5
    own = networks.program("lg-bp", architecture=MLP)
    local = _gradient(own)
    assert networks.distance(both["block2"], local["block2"]) < 1e-5
    assert networks.distance(both["block0"], each["block0"]) > 1e-3
    assert networks.distance(both["block0"], local["block0"]) > 1e-3


@pytest.mark.parametrize("target", ["above", "sum"])
def test_several_losses_in_a_chain_under_forward_mode(target):
    size = 4 * 6
    heads = "losses: {local: {every: 1, replicate: []}}\n"
    small = "{type: mlp, hidden: [3, 2, 1]}"
    how = f"space: activation, sharing: batch, samples: {size}"
    made = _program(target, how, heads=heads, architecture=small, info=INFO)
    shapes = {f"block{b}/dense": (4, 1, 1, width) for b, width in enumerate((3, 2, 1))}
    noise = {n: jnp.asarray(u) * size**0.5 for n, u in networks.basis(shapes).items()}
    made = _program(
        target, how.replace("sharing: batch", "sharing: example"), heads=heads, architecture=small,
        info=INFO,
    )  # fmt: skip
    exact = _program(target, "", architecture=small, estimator="exact", info=INFO)
    assert networks.distance(_gradient(made, noise), _gradient(exact)) < 1e-4


def test_sign_and_coin():
    base = "space: block_output, guess: {type: local}, projection: {type: none, coefficient: %s}"
    raw, sign, coin = (_gradient(_program("global", base % c)) for c in ("raw", "sign", "coin"))
    assert networks.distance(sign["block0"], raw["block0"]) > 0.1
    assert networks.distance(coin["block0"], sign["block0"]) > 0.01
    assert networks.distance(coin["block2"], raw["block2"]) < 1e-6


CONV = "{type: conv_net, channels: [3, 4], normalization: {type: %s}}"


def test_contributions_to_convolutions_are_gradients_of_single_examples():
    """Without coupling: the sum over n of <T_n, G_n> G_n with every gradient taken by itself."""
    how = "space: weight, guess: {type: local}, projection: {type: none}"
    made = _program("global", how, architecture=CONV % "none")
    state, batch = networks.state_of(made), networks.batch_of()
    blocks, own = made.plan.network.blocks, state.params["blocks"]
    x = ((batch["image"] - np.float32(INFO.mean[0])) / 1).reshape(4, 64, 1, 3)

    def gradients(example, label, unit):
        losses = networks.context_of(made.plan, state, label[None]).losses

        def loss(block0):
            trace = forward(blocks, {**own, "block0": block0}, example[None])
            site = made.plan.units[unit][1]
            return losses(site, trace.features[site.block]).mean() / 4

        return jax.grad(loss)(own["block0"])

    each = [jax.vmap(lambda e, y, u=u: gradients(e, y, u))(x, batch["label"]) for u in (-1, 0)]

    def estimate(target, guess):
        along = (target * guess).reshape(4, -1).sum(1)
        return jnp.tensordot(along, guess, 1)

    expected = jax.tree.map(estimate, *each)
    context = networks.context_of(made.plan, state, batch["label"])
    found = networks.estimated(made.plan, state.params, x, context).grads["blocks"]["block0"]
    assert networks.distance(found, expected) < 1e-5


@pytest.mark.parametrize("granularity", ["example", "span"])
def test_scales_and_shifts_of_a_batch_norm_are_projected_too(granularity):
    how = f"space: weight, guess: {{type: global}}, projection: {{granularity: {granularity}}}"
    found = _gradient(_program("global", how, heads="", architecture=CONV % "batch_norm"))
    assert set(found["block0"]["conv"]) == {"w", "scale", "shift"}
    exact = _program("global", "", heads="", architecture=CONV % "batch_norm", estimator="exact")
    assert networks.distance(found, _gradient(exact)) < 2e-3


def test_more_directions_than_dimensions_are_refused():
    how = "space: activation, guess: {type: normal, set: orthogonal}, samples: 6"
    with pytest.raises(UserError, match="at most 5 orthogonal directions fit the 5 numbers"):
        _program("global", how, heads="", architecture=TINY, info=INFO)


def test_isolated_blocks_share_no_derivative():
    """`net` is all blocks between which gradients pass: one each where blocks are isolated."""
    found = {}
    for grouping in ("net", "block"):
        how = f"projection: {{type: squared_norm, grouping: {grouping}}}, guess: {{type: normal}}"
        made = networks.program("lg-fg-a", perturbation=how)
        found[grouping], _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(found["net"], found["block"]) < 1e-6
    how = "projection: {type: squared_norm, grouping: %s}, guess: {type: normal}"
    joined = [
        made.gradient(networks.state_of(made), networks.batch_of())[0]
        for made in (networks.program("fg-a", perturbation=how % g) for g in ("net", "block"))
    ]
    assert networks.distance(*joined) > 1e-3
