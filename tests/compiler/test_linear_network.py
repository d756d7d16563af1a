"""A network without hidden layers is softmax regression, and nothing else trains in it."""

import jax.numpy as jnp
import networks
import numpy as np
import pytest

from fgspec.loading.spec_file import loads
from fgspec.problems.problems import SpecError


def test_its_gradient_is_that_of_softmax_regression():
    made = networks.program("bp", architecture="{type: linear}")
    state, batch = networks.state_of(made), networks.batch_of()
    grads, metrics = made.gradient(state, batch)
    data, own = made.plan.data, state.params["classifier"]
    images = (np.asarray(batch["image"], np.float64) - data.mean) / data.std
    x = images.reshape(len(images), -1)
    w, b = (np.asarray(own[name], np.float64) for name in "wb")
    scores = x @ w.reshape(x.shape[1], -1) + b.reshape(-1)
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    labels = np.asarray(batch["label"])
    error = (shares - np.eye(shares.shape[1])[labels]) / len(x)
    found = grads["classifier"]
    np.testing.assert_allclose(np.ravel(found["w"]), np.ravel(x.T @ error), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.ravel(found["b"]), error.sum(0), rtol=1e-4, atol=1e-6)
    loss = -np.log(shares[np.arange(len(x)), labels]).mean()
    assert float(metrics["train/loss"]) == pytest.approx(loss, rel=1e-5)
    assert "blocks" not in state.params


def test_it_is_evaluated_and_measured_like_any_other():
    made = networks.program(
        "bp", architecture="{type: linear}", more="diagnostics: {every: {steps: 1}}"
    )
    state, batch = networks.state_of(made), networks.batch_of()
    assert not made.diagnose(state, batch)
    assert float(made.evaluate(state, batch)["count"]) == len(batch["label"])
    after, _ = made.update(state, batch)
    assert not made.not_finite(after)
    features = made.features(after, batch["image"], block="block0")
    assert features.shape == (len(batch["label"]), 1, 1, np.prod(batch["image"].shape[1:]))
    assert jnp.isfinite(features).all()


SPEC = "fgspec: 1\nname: a\narchitecture: {type: linear}\ntraining: {steps: 1}\n"


@pytest.mark.parametrize("rule", ["lg-bp", "fg-w", "fa", "dfa"])
def test_a_rule_that_trains_blocks_is_refused(rule):
    with pytest.raises(SpecError, match="has no hidden layers, so only its readout learns; use"):
        loads(f"{SPEC}rule: {rule}\n")
    assert loads(f"{SPEC}rule: bp\n").experiment.architecture.block_count()[0] == 1
