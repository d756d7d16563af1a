"""What an estimate is worth, layer by layer, against the exact gradient of its target."""

import networks
import numpy as np
import pytest

import compiler.estimators.spaces
from compiler.named_arrays.paths import flatten
from compiler.quality.probe import probed

MLP = "{type: mlp, hidden: [6, 4]}"
LAYERS = ["block0/dense", "block1/dense"]


def _probed(rule, each=2, architecture=MLP, **options):
    made = networks.program(rule, architecture=architecture, **options)
    state, batch = networks.state_of(made), networks.batch_of()
    return made, state, batch, probed(made.plan, state, batch, each)


def test_an_exact_rule_agrees_with_itself_and_takes_its_step():
    made, state, batch, found = _probed("lg-bp", more="optimizer: {type: sgd, momentum: 0.0}")
    grads = made.gradient(state, batch)[0]["blocks"]
    assert list(found) == LAYERS
    for layer, own in found.items():
        block, name = layer.split("/")
        parts = flatten(grads[block][name]).values()
        size = np.sqrt(sum(float(np.square(part).sum()) for part in parts))
        assert own.cosine == pytest.approx(1, abs=1e-5)
        assert own.bias == pytest.approx(0, abs=1e-5)
        assert (own.bias_z, own.variance, own.signal_to_noise) == (None, 0, None)
        assert own.gradient == pytest.approx(size, rel=1e-4)
        assert own.step == pytest.approx(0.01 * size, rel=1e-3)


def test_four_samples_have_a_quarter_of_the_variance_and_no_bias():
    one, four = (_probed("lg-fg-a", 60, perturbation=f"samples: {k}")[-1] for k in (1, 4))
    for layer in LAYERS:
        assert 3 < one[layer].variance / four[layer].variance < 5
        assert one[layer].signal_to_noise == pytest.approx(1 / one[layer].variance)
        assert 0 < one[layer].cosine < four[layer].cosine < 1
        assert max(abs(one[layer].bias_z), abs(four[layer].bias_z)) < 4


def test_copies_of_a_loss_bring_no_bias():
    found = _probed("lg-fg-a", 60, networks.MIXER % networks.LOCAL_NORM)[-1]
    assert len(found) == 5
    assert all(abs(own.bias_z) < 4 and own.bias < 0.5 for own in found.values())


def test_a_wrong_sign_in_one_layer_is_that_layers_bias(monkeypatch):
    right = compiler.estimators.spaces.layerwise

    def wrong(segment, *rest):
        grads = right(segment, *rest)
        if "block1" in grads:
            grads["block1"] = {"dense": {k: -v for k, v in grads["block1"]["dense"].items()}}
        return grads

    monkeypatch.setattr(compiler.estimators.spaces, "layerwise", wrong)
    found = _probed("lg-fg-a", 60)[-1]
    assert found["block1/dense"].bias == pytest.approx(2, rel=0.2)
    assert found["block1/dense"].bias_z > 10
    assert found["block0/dense"].bias_z < 4


def test_there_is_nothing_to_measure_where_the_gradient_is_zero():
    made = networks.program("bp", architecture=MLP)
    found = probed(made.plan, made.init(0), networks.batch_of(), 2)
    assert {own[:5] for own in found.values()} == {(None,) * 5}
