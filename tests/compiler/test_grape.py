"""GrAPE by hand in NumPy, and what its steps are for: matrices that turn towards Jacobians."""

import jax
import jax.numpy as jnp
import networks
import numpy as np

from compiler.estimators.context import given
from compiler.named_arrays.paths import flatten, unflatten
from compiler.update.forward_passes import stem

RATE = 0.3
MLP = "{type: mlp, hidden: [6, 5]}"
MORE = f"gradient: {{estimator: {{alignment_rate: {RATE}}}}}"
BLOCKS = ("block0", "block1")


def _by_hand(params, matrices, batch, noise):
    """Gradients of weights and new matrices of a perceptron, in float64, by tangents by hand."""
    mean, std = (np.asarray(v) for v in (networks.INFO.mean, networks.INFO.std))
    x = ((np.asarray(batch["image"], np.float64) - mean) / std).reshape(len(batch["label"]), -1)
    moved, inputs, firing = np.zeros_like(x), [], []
    for block in BLOCKS:
        w, b = (np.asarray(params["blocks"][block]["dense"][name], float) for name in "wb")
        inputs.append(x)
        z, dz = x @ w[:, 0] + b[0], moved @ w[:, 0]
        firing.append(z > 0)
        x, moved = np.maximum(z, 0), dz * firing[-1] + noise[block]
    head = {name: np.asarray(params["classifier"][name], float) for name in "wb"}
    outputs, moved = x @ head["w"] + head["b"], moved @ head["w"]
    p = np.exp(outputs - outputs.max(-1, keepdims=True))
    error = p / p.sum(-1, keepdims=True) - np.eye(10)[np.asarray(batch["label"])]
    grads, aligned = {}, {}
    for block, entering, fires in zip(BLOCKS, inputs, firing, strict=True):
        sample = moved.T @ noise[block] / len(x)
        length, size = np.sqrt((matrices[block] ** 2).sum()), np.sqrt((sample**2).sum())
        cosine = (matrices[block] * sample).sum() / (length * size)
        slope = (sample / size - cosine * matrices[block] / length) / length
        aligned[block] = matrices[block] + RATE * slope
        delta = error / len(x) @ aligned[block] * fires
        grads[block] = entering.T @ delta, delta.sum(0)
    return grads, aligned


def test_by_hand():
    made = networks.program("grape", architecture=MLP, more=MORE)
    state, batch = networks.state_of(made), networks.batch_of()
    rng = np.random.default_rng(4)
    noise = {
        name: rng.standard_normal(spec.shape).astype(np.float32)
        for name, spec in made.perturbations().items()
    }
    assert noise.keys() == {f"{block}/dense/output" for block in BLOCKS}
    matrices = {
        block: np.asarray(state.feedback["blocks"][block]["dense"]["w"], float)[:, 0, 0]
        for block in BLOCKS
    }
    own = {block: noise[f"{block}/dense/output"][0, :, 0, 0].astype(float) for block in BLOCKS}
    grads, aligned = _by_hand(state.params, matrices, batch, own)
    drawn = {name: jnp.asarray(part) for name, part in noise.items()}
    found, _ = made.gradient(state, batch, drawn)
    context = networks.context_of(made.plan, state, batch["label"], given(drawn))
    estimate = networks.estimated(made.plan, state.params, stem(made.plan, batch["image"]), context)
    for block in BLOCKS:
        w, b = grads[block]
        np.testing.assert_allclose(found["blocks"][block]["dense"]["w"][:, 0], w, atol=1e-6)
        np.testing.assert_allclose(found["blocks"][block]["dense"]["b"][0], b, atol=1e-6)
        matrix = np.asarray(estimate.feedback[block]["dense"]["w"])[:, 0, 0]
        np.testing.assert_allclose(matrix, aligned[block], atol=1e-6)


def _cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_steps_turn_random_matrices_to_the_jacobians_and_keep_their_length():
    """In a linear network, whose Jacobians are products of its weights; parameters rest."""
    linear = "{type: mlp, hidden: [6, 5], activation: none}"
    more = "gradient: {estimator: {alignment_rate: 0.5}}"
    made = networks.program("grape", architecture=linear, more=more, batch=16)
    state, batch = networks.state_of(made), networks.batch_of(16)
    x = stem(made.plan, batch["image"])

    @jax.jit
    def aligned(feedback):
        def one(feedback, step):
            moment = state._replace(feedback={"blocks": feedback})
            context = networks.context_of(made.plan, moment, batch["label"], step=step)
            return networks.estimated(made.plan, state.params, x, context).feedback, None

        return jax.lax.scan(one, feedback, jnp.arange(1500))[0]

    second = np.asarray(state.params["blocks"]["block1"]["dense"]["w"])[:, 0]
    last = np.asarray(state.params["classifier"]["w"])
    jacobians = {"block0": (second @ last).T, "block1": last.T}
    before, after = state.feedback["blocks"], aligned(state.feedback["blocks"])
    for block, jacobian in jacobians.items():
        start, end = (np.asarray(tree[block]["dense"]["w"]) for tree in (before, after))
        assert abs(_cosine(start, jacobian)) < 0.5
        assert _cosine(end, jacobian) > 0.9
        assert np.linalg.norm(end) < 4 * np.linalg.norm(start)


def test_matrices_rest_where_a_sample_has_no_direction():
    """As under a classifier of zero, with which a run begins."""
    made = networks.program("grape", architecture=MLP)
    state, batch = networks.state_of(made), networks.batch_of()
    zero = jax.tree.map(jnp.zeros_like, state.params["classifier"])
    before = jax.device_get(flatten(state.feedback))
    after, _ = made.update(state._replace(params=state.params | {"classifier": zero}), batch)
    assert all(np.array_equal(flatten(after.feedback)[path], part) for path, part in before.items())


def test_error_goes_through_the_aligned_matrices():
    """Not through those from before the update, as under FDFA."""
    made = networks.program("grape", architecture=MLP, more=MORE)
    direct = networks.program("dfa", architecture=MLP)
    state, batch = networks.state_of(made), networks.batch_of()
    context = networks.context_of(made.plan, state, batch["label"])
    estimate = networks.estimated(made.plan, state.params, stem(made.plan, batch["image"]), context)
    aligned = state._replace(feedback=unflatten({"blocks": estimate.feedback}))
    found, _ = made.gradient(state, batch)
    assert networks.distance(found, direct.gradient(aligned, batch)[0]) < 1e-5
