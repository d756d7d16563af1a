"""Objectives against their formulas in NumPy: values, metrics, and gradients of whole networks.

The networks are perceptrons of two layers, whose derivatives are written out here by hand, in
float64; nothing of the compiler's mathematics is used.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.compile import compile_plan
from compiler.named_arrays.random_streams import key_data
from compiler.plan.plan import make_plan
from fgspec.loading.spec_file import loads
from fgspec.spec.dataset_info import DatasetInfo

N, CLASSES, NUMBERS = 5, 4, 3
INFO = DatasetInfo("small", (2, 3, 2), CLASSES, 20, 10, (0.4, 0.6), (0.2, 0.3))
KINDS = {
    "class": INFO,
    "vector": replace(INFO, classes=0, label="vector", numbers=NUMBERS, label_square=3.0),
    "binary": replace(INFO, classes=0, label="binary", numbers=NUMBERS, label_square=1.0),
}
RNG = np.random.default_rng(11)
IMAGES = RNG.random((N, 2, 3, 2), np.float32)
LABELS = {
    "class": np.array([1, 0, 3, 3, 2], np.int32),
    "vector": RNG.standard_normal((N, NUMBERS)).astype(np.float32),
    "binary": np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 1, 0]], np.int32),
}
SEEN = ((IMAGES - np.array(INFO.mean)) / np.array(INFO.std)).reshape(N, -1)
"""Standardized pixels in the order height, width, colour."""


@dataclass(frozen=True)
class Formula:
    """An objective by hand: the loss of every row, its derivative by the outputs, its metrics."""

    spec: str
    label: str
    outputs: int
    of: Any

    def __str__(self):
        return f"{self.spec.strip('{}')} on {self.label}"


def one_hot():
    return np.eye(CLASSES)[LABELS["class"]]


def softmax(o):
    powers = np.exp(o - o.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def sigmoid(o):
    return 1 / (1 + np.exp(-o))


def classified(o):
    wrong = o.argmax(1) != LABELS["class"]
    return {"error": wrong, "accuracy": ~wrong}


def smoothed(o):
    wanted = 0.8 * one_hot() + 0.2 / CLASSES
    p = softmax(o)
    return -(wanted * np.log(p)).sum(1), p - wanted, classified(o)


def squared_of_classes(o):
    gap = o - one_hot()
    return (gap**2).sum(1) / 2, gap, classified(o)


def squared_of_vectors(o):
    gap = o - LABELS["vector"]
    return (gap**2).sum(1) / 2, gap, {"mean_squared_error": (gap**2).mean(1)}


def binary(o, wanted):
    p = sigmoid(o)
    loss = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).sum(1)
    return loss, p - wanted


def binary_of_classes(o):
    return *binary(o, one_hot()), classified(o)


def binary_of_labels(o):
    wrong = (sigmoid(o) > 0.5) != LABELS["binary"]
    metrics = {"label_error": wrong.mean(1), "exact_match": wrong.sum(1) == 0}
    return *binary(o, LABELS["binary"]), metrics


def rebuilt(o):
    gap = o - SEEN
    square = (gap**2).mean(1)
    return square, 2 * gap / 12, {"mean_squared_error": square}


FORMULAS = (
    Formula("{type: label_smoothing, smoothing: 0.2}", "class", CLASSES, smoothed),
    Formula("{type: squared_error}", "class", CLASSES, squared_of_classes),
    Formula("{type: squared_error}", "vector", NUMBERS, squared_of_vectors),
    Formula("{type: binary_cross_entropy}", "class", CLASSES, binary_of_classes),
    Formula("{type: binary_cross_entropy}", "binary", NUMBERS, binary_of_labels),
    Formula("{type: reconstruction}", "class", 12, rebuilt),
)


def program(formula, rule):
    source = (
        "{type: synthetic}"
        if formula.label == "class"
        else f"{{type: npz, path: none.npz, labels: {formula.label}}}"
    )
    text = f"""
fgspec: 1
name: by-hand
rule: {rule}
data: {{source: {source}, batch_size: {N}}}
architecture: {{type: mlp, hidden: [6, 5], normalization: {{type: none}}}}
losses: {{objective: {formula.spec}}}
training: {{steps: 2}}
"""
    return compile_plan(make_plan(loads(text).experiment, KINDS[formula.label]))


def state_of(made):
    rng = np.random.default_rng(3)
    shapes = jax.eval_shape(lambda: made.init(0))

    def drawn(leaf):
        return jnp.asarray(0.4 * rng.standard_normal(leaf.shape), leaf.dtype)

    still = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    params = jax.tree.map(drawn, shapes.params)
    return still._replace(params=params, key=key_data(0), statistics={})


def wide(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, float), tree)


def dense(layer, x):
    """A linear map, whatever axes of one element its arrays have."""
    w = layer["w"].reshape(x.shape[1], -1)
    return x @ w + layer["b"].reshape(-1)


def pulled(layer, x, error):
    """The gradient of a linear map's parameters, in their shapes, and of its input."""
    w = layer["w"].reshape(x.shape[1], -1)
    grads = {"w": (x.T @ error).reshape(layer["w"].shape), "b": error.sum(0)}
    return grads | {"b": grads["b"].reshape(layer["b"].shape)}, error @ w.T


def by_hand(formula, params, local):
    """The gradient of the mean losses: of the final one, or of every block's own."""
    blocks = [params["blocks"][name]["dense"] for name in ("block0", "block1")]
    z0 = dense(blocks[0], SEEN)
    h0 = np.maximum(z0, 0)
    z1 = dense(blocks[1], h0)
    h1 = np.maximum(z1, 0)

    def of(readout, h):
        _, slope, _ = formula.of(dense(readout, h))
        return pulled(readout, h, slope / N)

    classifier, error = of(params["classifier"], h1)
    found = {"classifier": classifier}
    if local:
        features = {"block0": h0, "block1": h1}
        heads = {name: of(params["heads"][name], h) for name, h in features.items()}
        found["heads"] = {name: own for name, (own, _) in heads.items()}
        grads1, _ = pulled(blocks[1], h0, heads["block1"][1] * (z1 > 0))
        grads0, _ = pulled(blocks[0], SEEN, heads["block0"][1] * (z0 > 0))
    else:
        grads1, back = pulled(blocks[1], h0, error * (z1 > 0))
        grads0, _ = pulled(blocks[0], SEEN, back * (z0 > 0))
    return found | {"blocks": {"block0": {"dense": grads0}, "block1": {"dense": grads1}}}, h1


@pytest.mark.parametrize("rule", ["bp", "lg-bp"])
@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_gradient_loss_and_metrics(formula, rule):
    made = program(formula, rule)
    state = state_of(made)
    batch = {"image": jnp.asarray(IMAGES), "label": jnp.asarray(LABELS[formula.label])}
    assert made.plan.answer.outputs(made.plan.data) == formula.outputs
    gradient, metrics = made.gradient(state, batch)
    params = wide(state.params)
    expected, h1 = by_hand(formula, params, rule == "lg-bp")
    jax.tree.map(
        lambda own, hand: np.testing.assert_allclose(own, hand, rtol=2e-4, atol=2e-6),
        wide(gradient),
        expected,
    )
    loss, _, reported = formula.of(dense(params["classifier"], h1))
    assert float(metrics["train/loss"]) == pytest.approx(loss.mean(), rel=1e-5)
    sums = made.evaluate(state, batch)
    assert float(sums["loss"]) == pytest.approx(loss.sum(), rel=1e-5)
    assert sums.keys() == {"loss", "count", *reported}
    for name, rows in reported.items():
        assert float(metrics[f"train/{name}"]) == pytest.approx(rows.mean(), rel=1e-5)
        assert float(sums[name]) == pytest.approx(rows.sum(), rel=1e-5)


def test_binary_cross_entropy_does_not_overflow():
    objective = program(FORMULAS[4], "bp").plan.objective
    outputs = jnp.asarray([[200.0, -200.0, 200.0]])
    labels = jnp.asarray([[1, 0, 0]], jnp.int32)
    assert float(objective.value(outputs, labels)[0]) == pytest.approx(200.0)


def test_smoothing_of_zero_is_cross_entropy():
    none = Formula("{type: label_smoothing, smoothing: 0.0}", "class", CLASSES, None)
    plain = Formula("{type: cross_entropy}", "class", CLASSES, None)
    outputs = jnp.asarray(np.random.default_rng(1).standard_normal((N, CLASSES)), jnp.float32)
    ours, theirs = (
        program(one, "bp").plan.objective.value(outputs, jnp.asarray(LABELS["class"]))
        for one in (none, plain)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_is_reconstructed_is_the_augmented_image():
    """Blocks see the augmented image, so its pixels are the target; evaluation sees clean ones."""
    made = program(FORMULAS[5], "lg-bp")
    state = state_of(made)
    label = jnp.asarray(LABELS["class"])
    image, views = jnp.asarray(IMAGES), jnp.asarray(1 - IMAGES)
    _, metrics = made.gradient(state, {"image": image, "views": views, "label": label})
    _, clean = made.gradient(state, {"image": views, "label": label})
    assert float(metrics["train/loss"]) == pytest.approx(float(clean["train/loss"]), rel=1e-6)
    of_clean = made.evaluate(state, {"image": jnp.asarray(IMAGES), "label": label})
    assert float(of_clean["loss"]) / N != pytest.approx(float(clean["train/loss"]), rel=1e-3)
