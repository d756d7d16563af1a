"""Forward-Forward beside a reference in plain NumPy: rows, losses, gradients, and both answers.

The reference follows `docs/losses.md`. It reads nothing of the program but its parameters, and the
labels that were written into the rows of a step.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiler.update.forward_passes import rows
from fgspec.testing.learning import INFO, batch_of, experiment_of, program_of, state_of

THRESHOLD, EPSILON, CLASSES = 1.5, 1e-3, INFO.classes
WIDTHS = (7, 6, 5)
MLP = {
    "type": "mlp",
    "hidden": list(WIDTHS),
    "normalization": {"type": "length", "placement": ["between_blocks"], "epsilon": EPSILON},
}


def made(rule="lg-bp", goodness="sum", losses=None, **fields):
    objective = {"type": "forward_forward", "threshold": THRESHOLD, "goodness": goodness}
    losses = {"local": {"objective": objective}, **(losses or {})}
    tree = {"architecture": MLP, "losses": losses, **fields}
    return program_of(experiment_of(rule, tree))


def parameters(state):
    """Of every layer its weights, [in, out], and biases, in float64."""
    layers = [state.params["blocks"][f"block{k}"]["dense"] for k in range(len(WIDTHS))]
    return [
        (np.asarray(w, np.float64).reshape(-1, width), np.asarray(b, np.float64).reshape(width))
        for (w, b), width in zip(((p["w"], p["b"]) for p in layers), WIDTHS, strict=True)
    ]


def written(images, code):
    """Images [n, pixels, colours] with a code, [n, classes], in their first pixels."""
    found = np.array(images, np.float64).reshape(len(images), -1, images.shape[-1])
    for pixel in range(CLASSES):
        found[:, pixel, :] = np.asarray(code)[:, pixel, None]
    return found


def one_hot(labels):
    return np.eye(CLASSES)[np.asarray(labels)]


def standardized(pixels):
    mean, std = np.asarray(INFO.mean), np.asarray(INFO.std)
    return ((pixels - mean) / std).reshape(len(pixels), -1)


def unit(h):
    return h / np.sqrt((h**2).sum(1, keepdims=True) + EPSILON)


def passed(params, x):
    """The input and the activations of every layer."""
    inputs, activations = [], []
    for w, b in params:
        inputs.append(x)
        activations.append(np.maximum(x @ w + b, 0))
        x = unit(activations[-1])
    return inputs, activations


def goodness_of(h, how):
    return (h**2).sum(1) if how == "sum" else (h**2).mean(1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(params, x, positive, how):
    """The mean loss of every layer, and the gradients of its weights and biases."""
    losses, grads = [], []
    inputs, activations = passed(params, x)
    for entering, h in zip(inputs, activations, strict=True):
        beyond = goodness_of(h, how) - THRESHOLD
        losses.append(np.log1p(np.exp(np.where(positive, -beyond, beyond))).mean())
        by_goodness = np.where(positive, -sigmoid(-beyond), sigmoid(beyond)) / len(x)
        by_h = by_goodness[:, None] * 2 * h / (1 if how == "sum" else h.shape[1])
        error = by_h * (h > 0)
        grads.append((entering.T @ error, error.sum(0)))
    return losses, grads


def of_steps(program, state, batch, steps):
    """Of some steps the pixels of all rows, their targets, and the labels that are in them."""

    def one_step(step):
        images, targets = rows(program.plan, batch, state.key, step)
        return images, targets.local

    images, targets = jax.jit(jax.vmap(one_step))(np.asarray(steps, np.int32))
    pixels = np.asarray(images, np.float64).reshape(*targets.shape, -1, images.shape[-1])
    return zip(pixels, np.asarray(targets), pixels[:, :, :CLASSES, 0].argmax(-1), strict=True)


def of_step(program, state, batch):
    """The same of the next step of a state."""
    (step,) = of_steps(program, state, batch, [int(state.step)])
    return step


def distance(found, expected):
    return np.abs(np.asarray(found, np.float64).ravel() - expected.ravel()).max()


def compared(grads, expected, close):
    for k, (by_w, by_b) in enumerate(expected):
        own = grads["blocks"][f"block{k}"]["dense"]
        assert np.abs(by_w).max() > 1e-3, "nothing is learnt, so nothing is shown"
        assert distance(own["w"], by_w) < close
        assert distance(own["b"], by_b) < close


def test_rows_are_the_image_with_its_label_and_with_a_wrong_one():
    program = made()
    state, batch = state_of(program), batch_of(program)
    image, label = np.asarray(batch["image"], np.float64), np.asarray(batch["label"])
    n, counted = len(label), np.zeros((len(label), CLASSES))
    for pixels, targets, held in of_steps(program, state, batch, range(200)):
        assert targets.tolist() == [1] * n + [0] * n
        assert held[:n].tolist() == label.tolist()
        expected = written(np.concatenate([image, image]), one_hot(held))
        np.testing.assert_allclose(pixels, expected, atol=1e-7)
        counted[np.arange(n), held[n:]] += 1
    assert (counted[np.arange(n), label] == 0).all()
    # Each of two wrong labels is drawn 100 times of 200, give or take 5 deviations of 7.07.
    assert np.abs(counted[one_hot(label) == 0] - 100).max() < 36
    few = {name: array[:2] for name, array in batch.items()}
    fewer, whole = (next(of_steps(program, state, some, [7]))[2] for some in (few, batch))
    assert fewer[2:].tolist() == whole[n : n + 2].tolist(), "a draw depends on other examples"


@pytest.mark.parametrize("goodness", ["sum", "mean"])
def test_losses_and_gradients(goodness):
    program = made(goodness=goodness)
    state, batch = state_of(program), batch_of(program)
    _, targets, held = of_step(program, state, batch)
    image = np.asarray(batch["image"], np.float64)
    x = standardized(written(np.concatenate([image, image]), one_hot(held)))
    losses, expected = reference(parameters(state), x, targets > 0, goodness)
    grads, metrics = program.gradient(state, batch, float64=True)
    for k, loss in enumerate(losses):
        assert float(metrics[f"local_loss/block{k}"]) == pytest.approx(loss, rel=1e-5)
    compared(grads, expected, 1e-7)
    assert "heads" not in state.params


@pytest.mark.parametrize("rule", ["lg-fg-a", "lg-fg-w"])
def test_forward_gradients_are_exact_over_a_full_basis(rule):
    """With K directions that are the root of K times a basis, their mean is the gradient."""
    alone = made(rule)
    state, batch = state_of(alone), batch_of(alone)
    shapes = {name: spec.shape[1:] for name, spec in alone.perturbations().items()}
    blocks = {}
    for name in shapes:
        blocks.setdefault(name.split("/")[0], []).append(name)
    shared = rule == "lg-fg-w"

    def size(name):
        return int(np.prod(shapes[name][0 if shared else 1 :]))

    count = max(sum(map(size, names)) for names in blocks.values())
    basis = {name: np.zeros((count, *shapes[name]), np.float32) for name in shapes}
    for names in blocks.values():
        first = 0
        for name in names:
            flat = basis[name].reshape(count, 1 if shared else shapes[name][0], -1)
            for element in range(flat.shape[-1]):
                flat[first + element, :, element] = count**0.5
            first += flat.shape[-1]
    program = made(rule, gradient={"perturbation": {"samples": count}})
    given = {name: jnp.asarray(array) for name, array in basis.items()}
    grads, _ = program.gradient(state, batch, given, float64=True)
    pixels, targets, _ = of_step(program, state, batch)
    _, expected = reference(parameters(state), standardized(pixels), targets > 0, "sum")
    compared(grads, expected, 1e-5)


@pytest.mark.parametrize("goodness", ["sum", "mean"])
def test_prediction_by_goodness(goodness):
    program = made(goodness=goodness, losses={"prediction": "goodness"})
    state, batch = state_of(program), batch_of(program)
    image, label = np.asarray(batch["image"]), np.asarray(batch["label"])
    expected = np.zeros((len(label), CLASSES))
    for tried in range(CLASSES):
        x = standardized(written(image, one_hot(np.full(len(label), tried))))
        _, activations = passed(parameters(state), x)
        expected[:, tried] = sum(goodness_of(h, goodness) for h in activations[1:])
    np.testing.assert_allclose(program.outputs(state, batch["image"]), expected, rtol=1e-5)
    sums = program.evaluate(state, batch)
    assert float(sums["error"]) == (expected.argmax(1) != label).sum()
    likely = expected - np.log(np.exp(expected).sum(1, keepdims=True))
    loss = -likely[np.arange(len(label)), label].sum()
    assert float(sums["loss"]) == pytest.approx(loss, rel=1e-5)


def test_a_linear_readout_of_later_layers_under_a_neutral_label():
    program = made(losses={"classifier_reads": "after_first"})
    state, batch = state_of(program), batch_of(program)
    image, label = np.asarray(batch["image"]), np.asarray(batch["label"])
    neutral = np.full((len(label), CLASSES), 1 / CLASSES)
    _, activations = passed(parameters(state), standardized(written(image, neutral)))
    read = np.concatenate([unit(h) for h in activations[1:]], 1)
    own = state.params["classifier"]
    w, b = (np.asarray(own[name], np.float64) for name in ("w", "b"))
    outputs = read @ w.reshape(read.shape[1], -1) + b.ravel()
    np.testing.assert_allclose(program.outputs(state, batch["image"]), outputs, rtol=1e-4)
    share = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    by_w = read.T @ (share - one_hot(label)) / len(label)
    grads, metrics = program.gradient(state, batch, float64=True)
    assert distance(grads["classifier"]["w"], by_w) < 1e-7
    loss = -np.log(share[np.arange(len(label)), label]).mean()
    assert float(metrics["train/loss"]) == pytest.approx(loss, rel=1e-6)


def test_equal_blocks_that_are_scanned_learn_the_same():
    tree = {"architecture": {**MLP, "hidden": [6, 6, 6, 6]}}
    whole = made(compile={"blocks": "unrolled"}, **tree)
    looped = made(compile={"blocks": "scanned"}, **tree)
    state, batch = whole.init(0), batch_of(whole)
    grads, metrics = whole.gradient(state, batch)
    assert looped.plan.stacks
    found, seen = looped.gradient(looped.init(0), batch)
    for path in ("block0", "block1", "block3"):
        own, other = (tree["blocks"][path]["dense"]["w"] for tree in (grads, found))
        np.testing.assert_allclose(own, other, atol=1e-6)
    for name in metrics:
        assert float(seen[name]) == pytest.approx(float(metrics[name]), rel=1e-4, abs=1e-6)
