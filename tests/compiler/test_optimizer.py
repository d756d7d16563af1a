"""Optimizers and schedules against a few lines of NumPy."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import networks
import numpy as np
import optax
import pytest

from compiler.named_arrays.paths import flatten
from compiler.optimizers.make import make_optimizer
from compiler.update.state import answering
from fgspec.errors import UserError
from fgspec.spec.optimizers import OPTIMIZERS

PARAMS = {
    "blocks": {"block0": {"channel": {"w": [[1.0, -2.0]], "b": [0.5, 3.0]}}},
    "heads": {"block0": {"w": [[0.3]], "b": [2.0]}},
    "classifier": {"w": [[-0.7]], "b": [1.0]},
}
GRADS = {
    "blocks": {"block0": {"channel": {"w": [[0.1, 0.2]], "b": [0.3, -0.1]}}},
    "heads": {"block0": {"w": [[1.0]], "b": [-2.0]}},
    "classifier": {"w": [[0.4]], "b": [0.6]},
}
PATHS = [
    ("blocks", "block0", "channel", "w"),
    ("blocks", "block0", "channel", "b"),
    ("heads", "block0", "w"),
    ("heads", "block0", "b"),
    ("classifier", "w"),
    ("classifier", "b"),
]


def _arrays(tree):
    if isinstance(tree, dict):
        return {key: _arrays(value) for key, value in tree.items()}
    return jnp.asarray(tree, jnp.float32)


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return np.asarray(tree, np.float64)


@pytest.fixture(autouse=True)
def _as_the_update_does():
    with jax.numpy_dtype_promotion("standard"):
        yield


def _run(spec, steps=3, total=10, per_epoch=2):
    params, grads = _arrays(PARAMS), _arrays(GRADS)
    weights = {path for path in flatten(params) if path.endswith("/w")}
    kind = OPTIMIZERS.kind(spec["type"])
    section = kind.model_validate_json(json.dumps(spec))  # which has lists for tuples
    optimizer = make_optimizer(section, total, per_epoch, weights)
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def _sgd(w, g, spec, rates):
    velocity = np.zeros_like(w)
    for rate in rates:
        step = g + spec["decay"] * w
        velocity = spec["momentum"] * velocity + step
        w = w - rate * (spec["momentum"] * velocity + step if spec.get("nesterov") else velocity)
    return w


def _adam(w, g, spec, rates):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, rate in enumerate(rates, 1):
        coupled = g + (0 if spec.get("decoupled") else spec["decay"] * w)
        m, v = 0.9 * m + 0.1 * coupled, 0.999 * v + 0.001 * coupled**2
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - rate * (step + (spec["decay"] * w if spec.get("decoupled") else 0))
    return w


CASES = [
    ({"type": "sgd", "momentum": 0.9}, _sgd, {"momentum": 0.9}),
    ({"type": "sgd", "momentum": 0.0}, _sgd, {"momentum": 0.0}),
    ({"type": "sgd", "momentum": 0.8, "nesterov": True}, _sgd, {"momentum": 0.8, "nesterov": True}),
    ({"type": "adam"}, _adam, {}),
    ({"type": "adamw"}, _adam, {"decoupled": True}),
]


@pytest.mark.parametrize(("spec", "reference", "options"), CASES)
def test_three_steps(spec, reference, options):
    """Decay acts on weights only, heads and classifier have their own rates."""
    factors = {"heads": 0.5, "classifier": 0.1}
    common = {"learning_rate": 0.1, "weight_decay": 0.01, "factors": factors}
    found = _run(spec | common)
    for path in PATHS:
        decay = 0.01 if path[-1] == "w" else 0.0
        rates = [0.1 * factors.get(path[0], 1.0)] * 3
        expected = reference(_at(PARAMS, path), _at(GRADS, path), {"decay": decay} | options, rates)
        np.testing.assert_allclose(_at(found, path), expected, rtol=2e-5)


def test_lars_scales_weights_by_the_trust_ratio():
    found = _run({"type": "lars", "learning_rate": 0.1, "momentum": 0.9, "trust_coefficient": 0.01})
    for path in PATHS:
        w, g, velocity = _at(PARAMS, path), _at(GRADS, path), 0.0
        for _ in range(3):
            ratio = 0.01 * np.linalg.norm(w) / np.linalg.norm(g) if path[-1] == "w" else 1.0
            velocity = 0.9 * velocity + 0.1 * ratio * g
            w = w - velocity
        np.testing.assert_allclose(_at(found, path), w, rtol=2e-5)


SCHEDULES = [
    ({"type": "constant"}, [1, 1, 1, 1, 1, 1]),
    ({"type": "linear"}, [1, 0.9, 0.8, 0.7, 0.6, 0.5]),
    ({"type": "linear", "end_factor": 0.5}, [1, 0.95, 0.9, 0.85, 0.8, 0.75]),
    ({"type": "staircase", "every_epochs": 1, "factor": 0.2}, [1, 1, 0.2, 0.2, 0.04, 0.04]),
    (
        {"type": "multi_step", "at_epochs": [1, 2], "factor": 0.1},
        [1, 1, 0.1, 0.1, 0.01, 0.01],
    ),
    ({"type": "exponential", "factor": 0.49}, [0.7**t for t in range(6)]),
    (
        {"type": "cosine", "end_factor": 0.2},
        [0.2 + 0.8 * (1 + np.cos(np.pi * t / 10)) / 2 for t in range(6)],
    ),
    (
        {"type": "one_cycle", "rise": 0.4, "start_factor": 0.1, "end_factor": 0.02},
        [
            *(0.1 + 0.9 * (1 - np.cos(np.pi * t / 4)) / 2 for t in range(4)),
            *(0.02 + 0.98 * (1 + np.cos(np.pi * t / 6)) / 2 for t in range(2)),
        ],
    ),
    (
        {"type": "warmup_cosine", "warmup_epochs": 1},
        [0, 0.5, *[(1 + np.cos(np.pi * t / 8)) / 2 for t in range(4)]],
    ),
]


@pytest.mark.parametrize(("schedule", "factors"), SCHEDULES)
def test_schedules(schedule, factors):
    """Ten steps of two an epoch; the gradient is constant and there is no momentum."""
    spec = {"type": "sgd", "momentum": 0.0, "learning_rate": 0.3, "schedule": schedule}
    path = PATHS[0]
    for count in (1, 3, 6):
        moved = _at(PARAMS, path) - _at(_run(spec, steps=count), path)
        expected = 0.3 * sum(factors[:count]) * _at(GRADS, path)
        np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-7)


def _two_steps(spec):
    return _run({"learning_rate": 0.5, "weight_decay": 0.2, "decay_after_factors": True} | spec, 2)


def test_weight_decay_after_the_factors_of_sgd():
    """By hand: head weight 0.3 with gradient 1 and factor 0.5, bias 2 with gradient -2.

    Steps of the weight: 0.5 (0.5 + 0.2 * 0.3) = 0.28, then 0.5 (0.5 + 0.2 * 0.02) = 0.252; before
    the factors it would be 0.5 * 0.5 (1 + 0.2 * 0.3) = 0.265 first.
    """
    found = _two_steps({"type": "sgd", "momentum": 0.0, "factors": {"heads": 0.5}})
    assert _at(found, ("heads", "block0", "w")) == pytest.approx(0.3 - 0.28 - 0.252, rel=1e-5)
    assert _at(found, ("heads", "block0", "b")) == pytest.approx(2 + 0.5 + 0.5, rel=1e-6)
    # A block's factor is 1: 1 - 0.5 (0.1 + 0.2) = 0.85, 0.85 - 0.5 (0.1 + 0.17) = 0.715.
    assert _at(found, PATHS[0])[0, 0] == pytest.approx(0.715, rel=1e-5)


def test_momentum_accumulates_the_scaled_gradient_and_the_decay():
    """By hand, of the classifier's weight -0.7, gradient 0.4, factor 0.1, momentum 0.5.

    v1 = 0.04 - 0.14 = -0.1, w1 = -0.65; v2 = 0.5 v1 + 0.04 - 0.13 = -0.14, w2 = -0.58.
    """
    found = _two_steps({"type": "sgd", "momentum": 0.5, "factors": {"classifier": 0.1}})
    assert _at(found, ("classifier", "w")) == pytest.approx(-0.58, rel=1e-5)


def test_adamw_scales_its_direction_and_not_the_decay():
    """A constant gradient of 0.4 has the direction 1: -0.7 - 0.5 (0.1 - 0.14), and once more."""
    found = _two_steps({"type": "adamw", "factors": {"classifier": 0.1}})
    first = -0.7 - 0.5 * (0.1 - 0.2 * 0.7)
    second = first - 0.5 * (0.1 + 0.2 * first)
    assert _at(found, ("classifier", "w")) == pytest.approx(second, rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS.names())
def test_the_order_of_decay_and_factors_matters_only_where_a_factor_is_not_1(kind):
    common = {"type": kind, "learning_rate": 0.1, "weight_decay": 0.2, "factors": {"heads": 0.5}}
    before, after = (_run(common | {"decay_after_factors": after}) for after in (False, True))
    for path in PATHS:
        same = np.allclose(_at(before, path), _at(after, path), rtol=1e-6)
        # A bias has no decay; adam and lars normalize its gradient, or leave it as it is.
        assert same or path[0] == "heads", path
    path = ("heads", "block0", "w")
    assert not np.allclose(_at(before, path), _at(after, path), rtol=1e-6)


@pytest.mark.parametrize("clip", ["values", "block_norm", "global_norm"])
def test_an_update_clips_the_gradients_of_all_blocks(clip):
    """The step of a whole update against NumPy, where blocks learn one by one."""
    limit = 0.05
    words = "optimizer: {type: sgd, momentum: 0.0, learning_rate: 1.0, clip: {type: %s, limit: %s}}"
    made = networks.program(
        "lg-bp", architecture="{type: mlp, hidden: [5]}", more=words % (clip, limit)
    )
    state, batch = made.init(0), networks.batch_of()
    before = {path: np.array(x) for path, x in flatten(state.params).items()}
    gradient = made.gradient(state, batch)[0]
    grads = {path: np.asarray(g, np.float64) for path, g in flatten(gradient).items()}
    after = flatten(made.update(state, batch)[0].params)
    depth = {"global_norm": {}, "block_norm": {"blocks": 2, "heads": 2, "classifier": 1}}
    for path, own in grads.items():
        if clip == "values":
            expected = np.clip(own, -limit, limit)
        else:
            end = depth[clip].get(path.split("/")[0], 0)
            group = path.split("/")[:end]
            norms = [np.linalg.norm(g) for p, g in grads.items() if p.split("/")[:end] == group]
            expected = own * min(1, limit / np.linalg.norm(norms))
        step = before[path] - np.asarray(after[path])
        np.testing.assert_allclose(step, expected, rtol=1e-3, atol=1e-6, err_msg=path)
    assert np.linalg.norm([np.linalg.norm(g) for g in grads.values()]) > limit


def test_the_average_is_that_of_the_parameters_and_is_what_is_evaluated():
    """A recursion in NumPy over three updates, scanned and unrolled; one model has two losses."""
    words = "optimizer: {type: adam, average: {decay: 0.6}}\ncompile: {blocks: %s}"
    deep = "{type: mlp, hidden: [5, 5, 5, 5]}"
    seen = []
    for how in ("scanned", "unrolled"):
        made = networks.program("lg-bp", architecture=deep, more=words % how)
        state = made.init(0)
        expected = jax.tree.map(np.array, state.params)
        for step in range(3):
            state, _ = made.update(state, networks.batch_of(seed=step))
            params = jax.tree.map(np.array, state.params)
            expected = jax.tree.map(lambda old, new: 0.6 * old + 0.4 * new, expected, params)
        averaged = answering(made.plan, state)
        assert networks.distance(averaged.params, expected) < 1e-5
        assert networks.distance(state.params, expected) > 1e-3
        seen.append(made.evaluate(state, networks.batch_of(seed=9))["loss"])
    plain = networks.program("lg-bp", architecture=deep, more="compile: {blocks: unrolled}")
    of_average = plain.evaluate(state._replace(params=expected), networks.batch_of(seed=9))["loss"]
    np.testing.assert_allclose(seen, [of_average] * 2, rtol=1e-5)


def test_small_batches_that_accumulate_are_one_large_batch():
    """Three of 4 examples make the step that 12 make at once, decay, average and schedule too."""
    rest = "schedule: {type: cosine}, average: {decay: 0.5}, clip: {type: block_norm, limit: 0.2}"
    rest = f"epsilon: 0.01, weight_decay: 0.1, {rest}"
    words = f"optimizer: {{type: adamw, accumulate: %s, {rest}}}"
    deep = "{type: mlp, hidden: [5, 5, 5, 5]}"
    # The schedule ends with the run: 30 batches of 4 are 10 of 12.
    info = replace(networks.INFO, train_examples=60)
    whole = networks.program("lg-bp", architecture=deep, more=words % 1, batch=12, info=info)
    state, batches = whole.init(0), [networks.batch_of(12, seed=step) for step in range(2)]
    small = networks.program("lg-bp", architecture=deep, more=words % 3, info=info)
    own = small.init(0)
    for step, batch in enumerate(batches):
        assert small.learning_rate(3 * step + 2) == pytest.approx(whole.learning_rate(step))
        before = jax.tree.map(np.array, own.params)
        for part in range(3):
            assert networks.distance(own.params, before) == 0  # until the last of them
            own, _ = small.update(own, {n: x[4 * part :][:4] for n, x in batch.items()})
        state, _ = whole.update(state, batch)
        assert networks.distance(own.params, before) > 1e-3
    assert int(own.step) == 6  # batches
    assert networks.distance(own.params, state.params) < 1e-4
    averages = (answering(p.plan, s).params for p, s in ((small, own), (whole, state)))
    assert networks.distance(*averages) < 1e-4


PARTS = [
    {"of": "blocks/block0", "rate": 0.5, "decay": 0.0},
    {"of": "blocks/block0/channel", "rate": 0.2},
    {"of": "heads", "decay": 3.0},
]


@pytest.mark.parametrize(
    ("spec", "reference", "options"), [CASES[0], CASES[4]], ids=["sgd", "adamw"]
)
def test_factors_of_parts_multiply(spec, reference, options):
    factors = {"heads": 0.5, "parts": PARTS}
    found = _run(spec | {"learning_rate": 0.1, "weight_decay": 0.01, "factors": factors})
    wanted = {"blocks": (0.1, 0.0), "heads": (0.5, 3.0), "classifier": (1.0, 1.0)}
    for path in PATHS:
        rate, decay = wanted[path[0]]
        decay = 0.01 * decay if path[-1] == "w" else 0.0
        told = {"decay": decay} | options
        expected = reference(_at(PARAMS, path), _at(GRADS, path), told, [0.1 * rate] * 3)
        np.testing.assert_allclose(_at(found, path), expected, rtol=2e-5)


def test_blocks_with_factors_of_their_own_are_not_scanned_with_others():
    words = "optimizer: {type: sgd, factors: {parts: [{of: %s, rate: 0.5}]}}"
    deep = "{type: mlp, hidden: [5, 5, 5, 5, 5, 5]}"

    def stacks(of):
        made = networks.program("lg-bp", architecture=deep, more=words % of)
        return [stack.name for stack in made.plan.stacks]

    assert stacks("heads") == ["block1-block5"]
    assert stacks("blocks/block5") == stacks("heads/block5") == ["block1-block4"]
    with pytest.raises(UserError) as refused:
        stacks("blocks/block6")
    told = "optimizer.factors.parts: no parameter's path begins with blocks/block6; did you mean "
    assert str(refused.value).startswith(f"{told}blocks/block")
    with pytest.raises(UserError, match="no parameter's path begins with blocks/block;"):
        stacks("blocks/block")  # whole names only
