"""Running statistics: of the unperturbed pass, moved once a step, all that evaluation reads."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.cost.compiled import YNNPACK
from compiler.network.network import patchify, standardized
from compiler.network.norms import Norm
from compiler.network.running import CLASSIFIER

BATCH_NORM = "{type: batch_norm}"


def _with_random_statistics(state):
    rng = np.random.default_rng(3)
    leaves, structure = jax.tree.flatten(state.statistics)
    drawn = [jnp.asarray(rng.uniform(0.5, 2, leaf.shape), jnp.float32) for leaf in leaves]
    return state._replace(statistics=jax.tree.unflatten(structure, drawn))


def test_only_norms_that_couple_examples_have_them():
    assert networks.program("bp").init(0).statistics == {}
    statistics = networks.program("bp", norm=BATCH_NORM).init(0).statistics
    places = {path: sorted(own) for path, own in statistics.items()}
    assert places["block0/channel"] == places["block1/token"] == ["after", "before"]
    assert places[f"{CLASSIFIER}/linear"] == ["before"]
    assert statistics["block0/group"]["after"].mean.shape == (1, 1, 2, 4)


def test_a_step_moves_them_by_a_tenth_towards_the_moments_of_the_batch():
    made, batch = networks.program("bp", norm=BATCH_NORM), networks.batch_of()
    x = np.asarray(
        patchify(standardized(batch["image"], networks.INFO.mean, networks.INFO.std), (2, 2))
    )
    state, _ = made.update(networks.state_of(made), batch)
    mean, variance = state.statistics["block0/channel"]["before"]
    np.testing.assert_allclose(mean[0, 0], 0.1 * x.mean((0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance[0, 0], 0.9 + 0.1 * x.var((0, 1)), rtol=1e-5)


@pytest.mark.parametrize("rule", ["lg-bp", "fa", "dfa", "fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
def test_every_rule_moves_them_once_and_by_the_unperturbed_pass(rule):
    batch = networks.batch_of()
    exact = networks.program("bp", norm=BATCH_NORM)
    expected = exact.update(networks.state_of(exact), batch)[0].statistics
    noisy = "samples: 3" if "fg" in rule else ""
    made = networks.program(rule, norm=BATCH_NORM, perturbation=noisy)
    blocks = networks.state_of(exact).params["blocks"]
    state = made.init(0)
    state = state._replace(params={**state.params, "blocks": blocks})
    moved = made.update(state, batch)[0].statistics
    assert networks.distance(moved, expected) < 1e-6


def test_evaluation_is_a_sum_over_examples_whatever_the_batches():
    made, batch = networks.program("bp", norm=BATCH_NORM), networks.batch_of(6)
    state = _with_random_statistics(networks.state_of(made))
    whole = made.evaluate(state, batch)
    cuts = [
        made.evaluate(state, {k: v[a:b] for k, v in batch.items()}) for a, b in ((0, 1), (1, 6))
    ]
    assert float(whole["loss"]) == pytest.approx(sum(float(c["loss"]) for c in cuts), rel=1e-5)
    for name in ("error", "accuracy", "count"):
        assert whole[name] == sum(c[name] for c in cuts)
    assert whole["error"] + whole["accuracy"] == whole["count"] == 6


def test_with_the_moments_of_the_batch_evaluation_is_the_training_pass():
    made, batch = networks.program("bp", norm=BATCH_NORM), networks.batch_of()
    state = networks.state_of(made)
    start = state.statistics
    loss = made.gradient(state, batch)[1]["train/loss"]
    after = made.update(networks.state_of(made), batch)[0].statistics
    seen = jax.tree.map(lambda new, old: (new - 0.9 * old) / 0.1, after, start)
    evaluated = made.evaluate(state._replace(statistics=seen), batch)
    assert float(evaluated["loss"]) / 4 == pytest.approx(float(loss), rel=1e-3)
    apart = made.evaluate(state._replace(statistics=start), batch)
    assert float(apart["loss"]) / 4 != pytest.approx(float(loss), rel=1e-2)


@pytest.mark.parametrize("given", YNNPACK)
@pytest.mark.parametrize("over", [("channel",), ("patch", "channel"), ("batch", "patch")])
def test_equal_values_become_exactly_zero(over, given):
    """In whatever order they are summed: behind a rectifier 1e-8 has a derivative, 0 has none."""
    for count in (3, 7, 16, 100):
        values = np.random.default_rng(count).random((1, 1, 50, 1), np.float32)
        sizes = [count if axis in over else 1 for axis in ("batch", "patch", "group", "channel")]
        x = jnp.asarray(np.broadcast_to(values, (*sizes[:2], 50, sizes[3])))
        norm = jax.jit(Norm(over, 1e-5)).lower(x).compile(YNNPACK[given])
        assert not np.asarray(norm(x)).any()
