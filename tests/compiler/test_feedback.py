"""Feedback rules: equal to backprop with the forward weights, to NumPy with random ones."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten, unflatten
from compiler.network.network import forward, layers_in
from compiler.update.forward_passes import stem

TWIN = {"fa": "bp", "l-fa": "l-bp", "lg-fa": "lg-bp"}
MLP = "{type: mlp, hidden: [6, 5]}"


def _with_forward_weights(state):
    """A state whose backward weights are its forward ones."""
    params = flatten(state.params)
    return state._replace(feedback=unflatten({p: params[p] for p in flatten(state.feedback)}))


@pytest.mark.parametrize("architecture", [networks.MIXER % networks.LOCAL_NORM, MLP])
@pytest.mark.parametrize("rule", TWIN)
def test_with_the_forward_weights_it_is_backprop(rule, architecture):
    made = networks.program(rule, architecture=architecture)
    twin = networks.program(TWIN[rule], architecture=architecture)
    state = _with_forward_weights(networks.state_of(made))
    found, _ = made.gradient(state, networks.batch_of())
    expected, _ = twin.gradient(networks.state_of(twin), networks.batch_of())
    assert networks.distance(found, expected) < 1e-5


@pytest.mark.parametrize("rule", TWIN)
def test_readouts_learn_from_their_own_error(rule):
    made, twin = networks.program(rule), networks.program(TWIN[rule])
    found, _ = made.gradient(networks.state_of(made), networks.batch_of())
    expected, _ = twin.gradient(networks.state_of(twin), networks.batch_of())
    for readout in {"heads", "classifier"} & expected.keys():
        assert networks.distance(found[readout], expected[readout]) < 1e-5
    assert networks.distance(found["blocks"], expected["blocks"]) > 0.1


def _pass(params, batch):
    """Inputs, firing and the output error of the perceptron, by hand."""
    mean, std = (np.asarray(v) for v in (networks.INFO.mean, networks.INFO.std))
    x = ((np.asarray(batch["image"], np.float64) - mean) / std).reshape(len(batch["label"]), -1)
    inputs, firing = [], []
    for block in ("block0", "block1"):
        layer = params["blocks"][block]["dense"]
        inputs.append(x)
        z = x @ np.asarray(layer["w"])[:, 0] + np.asarray(layer["b"])[0]
        firing.append(z > 0)
        x = np.maximum(z, 0)
    logits = x @ np.asarray(params["classifier"]["w"]) + np.asarray(params["classifier"]["b"])
    p = np.exp(logits - logits.max(-1, keepdims=True))
    error = p / p.sum(-1, keepdims=True) - np.eye(10)[np.asarray(batch["label"])]
    return inputs, firing, error / len(x)


def _assert_layers(grads, inputs, errors):
    for block, x, e in zip(("block0", "block1"), inputs, errors, strict=True):
        found = grads["blocks"][block]["dense"]
        np.testing.assert_allclose(found["w"][:, 0], x.T @ e, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["b"][0], e.sum(0), rtol=1e-4, atol=1e-6)


def test_feedback_alignment_by_hand():
    made = networks.program("fa", architecture=MLP)
    state, batch = networks.state_of(made), networks.batch_of()
    inputs, firing, error = _pass(state.params, batch)
    back = state.feedback
    top = (error @ np.asarray(back["classifier"]["w"]).T) * firing[1]
    low = (top @ np.asarray(back["blocks"]["block1"]["dense"]["w"])[:, 0].T) * firing[0]
    _assert_layers(made.gradient(state, batch)[0], inputs, [low, top])


def test_direct_feedback_by_hand():
    made = networks.program("dfa", architecture=MLP)
    state, batch = networks.state_of(made), networks.batch_of()
    inputs, firing, error = _pass(state.params, batch)
    sent = [
        (error @ np.asarray(state.feedback["blocks"][block]["dense"]["w"])[:, 0, 0]) * fires
        for block, fires in zip(("block0", "block1"), firing, strict=True)
    ]
    _assert_layers(made.gradient(state, batch)[0], inputs, sent)


def test_direct_feedback_through_the_classifier_is_backprop_of_the_last_layer():
    norm = "{type: local_layer_norm, readout: false}"
    made, twin = networks.program("dfa", norm=norm), networks.program("bp", norm=norm)
    state = networks.state_of(made)
    patches, groups, channels = made.plan.network.blocks[-1].layers[-1].outputs
    matrix = state.params["classifier"]["w"].T.reshape(-1, 1, groups, channels) / patches
    matrix = jnp.broadcast_to(matrix, (matrix.shape[0], patches, groups, channels))
    flat = flatten(state.feedback) | {"blocks/block1/group/w": matrix}
    found, _ = made.gradient(state._replace(feedback=unflatten(flat)), networks.batch_of())
    exact, _ = twin.gradient(networks.state_of(twin), networks.batch_of())
    last = [tree["blocks"]["block1"]["group"] for tree in (found, exact)]
    assert networks.distance(*last) < 1e-5
    before, _ = made.gradient(state, networks.batch_of())
    changed = [
        path
        for path, gradient in flatten(found).items()
        if not np.array_equal(gradient, flatten(before)[path])
    ]
    assert changed == ["blocks/block1/group/b", "blocks/block1/group/w"]


@pytest.mark.parametrize("kind", ["sign_symmetric", "signs"])
def test_sign_symmetric_weights_have_the_signs_of_the_forward_ones(kind):
    more = f"gradient: {{estimator: {{weights: {kind}}}}}"
    made = networks.program("fa", architecture=MLP, more=more)
    state, batch = networks.state_of(made), networks.batch_of()
    found, _ = made.gradient(state, batch)
    signed = jax.tree.map(
        lambda p, b: jnp.sign(p) * (1 if kind == "signs" else jnp.abs(b)),
        {p: flatten(state.params)[p] for p in flatten(state.feedback)},
        flatten(state.feedback),
    )
    plain = networks.program("fa", architecture=MLP)
    expected, _ = plain.gradient(state._replace(feedback=unflatten(signed)), batch)
    assert networks.distance(found, expected) < 1e-6


@pytest.mark.parametrize("rule", [*TWIN, "dfa"])
def test_backward_weights_stay_as_they_were_drawn(rule):
    made = networks.program(rule)
    state = made.init(0)
    before = jax.device_get(flatten(state.feedback))
    after, _ = made.update(state, networks.batch_of())
    assert before.keys() == flatten(after.feedback).keys()
    assert all(np.array_equal(before[path], flatten(after.feedback)[path]) for path in before)
    assert all(np.abs(leaf).max() > 0 for leaf in before.values())


def test_other_rules_have_no_backward_weights():
    assert networks.program("lg-fg-a").init(0).feedback == {}


LINEAR = """
  type: chain
  patches: 2
  normalization: {type: none}
  blocks:
    - - {type: dense, channels: 4, activation: none}
    - - {type: full, channels: 5, activation: none}
"""


def _jacobians(made, state, batch):
    """Mean over the batch of the derivative of an example's outputs by its layers' outputs."""
    blocks, readout = made.plan.network.blocks, made.plan.network.classifier
    x = stem(made.plan, batch["image"])

    def outputs(by):
        taps = {f"{path}/output": part for path, part in by.items()}
        features = forward(blocks, state.params["blocks"], x, taps=taps).output
        return readout.outputs(state.params["classifier"], features)[0]

    zero = {path: jnp.zeros((len(x), *layer.outputs)) for path, layer in layers_in(blocks)}
    every = jax.jacrev(outputs)(zero)
    return {path: jnp.einsum("nkn...->k...", part) / len(x) for path, part in every.items()}


def _with_classifier(state):
    """A state whose classifier sends something back: it begins at zero."""
    flat = flatten(state.params["classifier"])
    drawn = {p: jax.random.normal(jax.random.key(5), part.shape) for p, part in flat.items()}
    return state._replace(params=state.params | {"classifier": unflatten(drawn)})


@pytest.mark.parametrize("norm", [networks.LOCAL_NORM, "{type: batch_norm}"])
def test_learned_feedback_has_the_mean_jacobian_as_its_mean(norm):
    """With momentum 0 one update replaces a matrix by one sample of the Jacobian."""
    more = "gradient: {estimator: {momentum: 0}}"
    made = networks.program("fdfa", norm=norm, more=more, batch=3)
    state, batch = _with_classifier(networks.state_of(made)), networks.batch_of(3)
    wanted = _jacobians(made, state, batch)

    @jax.jit
    def draws(steps):
        def one(step):
            context = networks.context_of(made.plan, state, batch["label"], step=step)
            x = stem(made.plan, batch["image"])
            return networks.estimated(made.plan, state.params, x, context).feedback

        return jax.lax.map(one, steps)

    scores = []
    for path, part in flatten(jax.device_get(draws(jnp.arange(3000)))).items():
        error = part.std(0, ddof=1) / len(part) ** 0.5
        scores.append(((part.mean(0) - wanted[path.removesuffix("/w")]) / error).reshape(-1))
    z = np.concatenate(scores)
    assert np.abs(z).max() < 5.5
    assert 0.85 < z.std() < 1.18


def test_learned_feedback_that_is_the_jacobian_of_a_linear_network_is_backprop():
    made = networks.program("fdfa", architecture=LINEAR)
    twin = networks.program("bp", architecture=LINEAR)
    state, batch = _with_classifier(networks.state_of(made)), networks.batch_of()
    matrices = {f"blocks/{p}/w": j for p, j in _jacobians(made, state, batch).items()}
    found, _ = made.gradient(state._replace(feedback=unflatten(matrices)), batch)
    same = networks.state_of(twin)._replace(params=state.params)
    assert networks.distance(found, twin.gradient(same, batch)[0]) < 1e-5


def test_learned_feedback_begins_at_zero_and_keeps_what_momentum_says():
    made = networks.program("fdfa", more="gradient: {estimator: {momentum: 0.75}}")
    state, batch = _with_classifier(made.init(0)), networks.batch_of()
    assert all(not np.any(part) for part in flatten(state.feedback).values())
    found, _ = made.gradient(state, batch)
    assert all(not np.any(part) for part in flatten(found["blocks"]).values())
    ones = jax.tree.map(jnp.ones_like, state.feedback)
    copies = [jax.tree.map(jnp.copy, state._replace(feedback=f)) for f in (state.feedback, ones)]
    moved = [flatten(made.update(copy, batch)[0].feedback) for copy in copies]
    for path, zero in moved[0].items():
        np.testing.assert_allclose(moved[1][path] - zero, 0.75, rtol=1e-4)
