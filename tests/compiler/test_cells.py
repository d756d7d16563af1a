"""Cells of the language that no older test reaches: who scales what, who has which slope."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.network.network import forward
from compiler.update.forward_passes import stem
from fgspec.loading.spec_file import loads
from fgspec.problems.problems import SpecError

HEADS = "losses: {local: {every: 1}}\n"
MLP = "{type: mlp, hidden: [6, 5, 4], normalization: %s}"
CHAIN = """
  type: chain
  patches: 2
  normalization: {type: batch_norm, epsilon: 0.1}
  blocks: [[{type: dense, channels: 4}, {type: dense, channels: 3}], [{type: dense, channels: 5}]]
"""
INFO = replace(networks.INFO, image_shape=(1, 1, 4), mean=(0.0,) * 4, std=(1.0,) * 4)


def _forward(perturbation, *, heads=HEADS, target="global", **options):
    estimator = f"estimator: {{type: forward}}, perturbation: {{{perturbation}}}"
    gradient = f"gradient: {{target: {target}, {estimator}}}"
    return networks.program("", more=heads + gradient, **options)


def _gradient(made, noise=None, batch=None):
    batch = networks.batch_of() if batch is None else batch
    return made.gradient(networks.state_of(made), batch, noise)[0]["blocks"]


# ------------------------------------------------------------------ coefficients of contributions

OUTPUTS = "space: block_output, guess: {type: %s}, projection: {applies_to: %s%s}"


@pytest.mark.parametrize("guess", ["local", "normal"])
@pytest.mark.parametrize("architecture", ["mlp", "mixer", "chain"])
def test_where_nothing_mixes_examples_scaled_contributions_are_the_pull_back(architecture, guess):
    net = {
        "mlp": MLP % "{type: layer_norm}",
        "mixer": networks.MIXER % networks.LOCAL_NORM,
        "chain": networks.CHAIN % "{type: layer_norm}",
    }[architecture]
    more = ", granularity: example, grouping: block"
    outputs, weights = (
        _gradient(_forward(OUTPUTS % (guess, to, more), architecture=net))
        for to in ("output", "weights")
    )
    assert networks.distance(weights, outputs) < 1e-5


@pytest.mark.parametrize("guess", ["local", "normal"])
def test_under_batch_norm_they_are_not(guess):
    outputs, weights = (
        _gradient(_forward(OUTPUTS % (guess, to, ""), architecture=CHAIN))
        for to in ("output", "weights")
    )
    assert networks.distance(weights["block0"], outputs["block0"]) > 1e-2


def _by_examples(x, layers):
    """The output of a block of dense layers, where every example goes through tensors of its own.

    Args:
        x: [n, p, c].
        layers: of each layer w [n, c, d], scale and shift [n, d].
    """
    for own in layers:
        raw = jnp.einsum("npc,ncd->npd", x, own["w"])
        mean = raw.mean((0, 1), keepdims=True)
        variance = jnp.square(raw - mean).mean((0, 1), keepdims=True)
        normed = (raw - mean) / jnp.sqrt(variance + 0.1)
        x = jnp.maximum(normed * own["scale"][:, None] + own["shift"][:, None], 0)
    return x


def test_contributions_are_scaled_example_by_example():
    """By hand: each example's own copy of the weights gets the gradient that the guess gives it.

    The block's batch norm couples these gradients; each is multiplied by the coefficient
    <T_n, G_n> / |G_n|^2 of its example, and they are added up.
    """
    made = _forward(OUTPUTS % ("local", "weights", ""), architecture=CHAIN)
    state, batch = networks.state_of(made), networks.batch_of()
    blocks, params = made.plan.network.blocks, state.params["blocks"]
    x, losses = (
        stem(made.plan, batch["image"]),
        networks.context_of(made.plan, state, batch["label"]).losses,
    )
    (first, local), (second, final) = made.plan.units
    output = forward(first, params, x).output
    guess = jax.grad(lambda f: losses(local, f).sum() / 4)(output)
    target = jax.grad(lambda f: losses(final, forward(second, params, f).output).mean())(output)

    def each(a, b):
        return (a * b).reshape(4, -1).sum(1)

    coefficients = each(target, guess) / each(guess, guess)
    layers = [params["block0"][layer.name] for layer in blocks[0].layers]
    alike = [
        {
            name: jnp.stack([part.reshape(part.shape[0], -1).squeeze()] * 4)
            for name, part in own.items()
        }
        for own in layers
    ]
    flat, pull = jax.vjp(lambda own: _by_examples(x[:, :, 0], own), alike)
    np.testing.assert_allclose(flat, output[:, :, 0], rtol=1e-4, atol=1e-5)
    (contributions,) = pull(guess[:, :, 0])
    expected = {
        layer.name: {
            name: jnp.tensordot(coefficients, part, 1).reshape(
                params["block0"][layer.name][name].shape
            )
            for name, part in own.items()
        }
        for layer, own in zip(blocks[0].layers, contributions, strict=True)
    }
    found = made.gradient(state, batch)[0]["blocks"]
    assert networks.distance(found["block0"], expected) < 1e-4
    assert float(coefficients.std() / jnp.abs(coefficients).max()) > 0.1
    exact = networks.program("bp", architecture=CHAIN)
    like = networks.state_of(exact)._replace(
        params={name: state.params[name] for name in ("blocks", "classifier")}
    )
    last = exact.gradient(like, batch)[0]["blocks"]["block1"]
    assert networks.distance(found["block1"], last) < 1e-5


# ------------------------------------------------- slopes of every tensor and every example's noise

OWN = (
    "space: weight, sharing: example, samples: %d, projection: {granularity: example, grouping: %s}"
)


def _images():
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.standard_normal((4, 1, 1, 4)), jnp.float32)
    return {**networks.batch_of(), "image": image}


def _bases(shapes):
    """Of every tensor and example a random orthonormal basis of its own, followed by zeros."""
    count = max(int(np.prod(shape[1:])) for shape in shapes.values())
    found = {}
    for number, (name, shape) in enumerate(shapes.items()):
        each = [
            networks.basis({name: shape[1:]}, seed=10 * number + example)[name]
            for example in range(shape[0])
        ]
        rows = np.stack(each, 1)
        padding = [(0, count - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        found[name] = jnp.asarray(np.pad(rows, padding))
    return count, found


@pytest.mark.parametrize(
    ("architecture", "info"),
    [(MLP % "{type: layer_norm}", INFO), (networks.MIXER % networks.LOCAL_NORM, networks.INFO)],
)
def test_over_a_full_basis_of_every_tensor_and_example_the_gradient_is_exact(architecture, info):
    """All tensors move in the same samples, each example its own way: slopes must be their own."""
    options = {"heads": "", "architecture": architecture, "info": info}
    batch = _images() if info is INFO else networks.batch_of()
    shapes = {
        n: s.shape[1:] for n, s in _forward(OWN % (1, "tensor"), **options).perturbations().items()
    }
    count, noise = _bases(shapes)
    found, joint = (
        jax.tree.map(
            lambda g: g * count, _gradient(_forward(OWN % (count, by), **options), noise, batch)
        )
        for by in ("tensor", "block")
    )
    exact = _gradient(networks.program("bp", architecture=architecture, info=info), batch=batch)
    assert networks.distance(found, exact) < 1e-4
    assert networks.distance(joint, exact) > 1e-2


def test_every_tensor_and_example_has_one_slope():
    """By hand, of one draw: the sum over examples of <T_n, u_n> u_n, tensor by tensor."""
    options = {"heads": "", "architecture": MLP % "{type: none}", "info": INFO}
    made = _forward(OWN % (1, "tensor"), **options)
    state, batch = networks.state_of(made), _images()
    rng = np.random.default_rng(3)
    noise = {
        name: jnp.asarray(rng.standard_normal(like.shape), jnp.float32)
        for name, like in made.perturbations().items()
    }
    params, blocks, final = state.params["blocks"], made.plan.network.blocks, made.plan.units[-1][1]

    def gradient(image, label):
        x = stem(made.plan, image[None])
        losses = networks.context_of(made.plan, state, label[None]).losses
        return jax.grad(lambda own: losses(final, forward(blocks, own, x).output).sum() / 4)(params)

    each = jax.vmap(gradient)(batch["image"], batch["label"])
    found = made.gradient(state, batch, noise)[0]["blocks"]
    assert len(noise) == 6
    for path, (u,) in noise.items():
        block, layer, name = path.split("/")
        slopes = (each[block][layer][name] * u).reshape(4, -1).sum(1)
        expected = jnp.tensordot(slopes, u, 1)
        np.testing.assert_allclose(found[block][layer][name], expected, rtol=2e-4, atol=1e-6)


# ------------------------------------------------------------- local losses beside a global target

BESIDE = "losses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: %s}%s}"


@pytest.mark.parametrize("architecture", [networks.MIXER % networks.LOCAL_NORM, CHAIN])
@pytest.mark.parametrize(("estimator", "rule"), [("exact", "bp"), ("forward", "fg-w")])
def test_heads_beside_a_global_target_learn_their_own_losses(architecture, estimator, rule):
    how = ", perturbation: {space: weight}" if estimator == "forward" else ""
    made = networks.program("", architecture=architecture, more=BESIDE % (estimator, how))
    state, batch = networks.state_of(made), networks.batch_of()
    found, metrics = made.gradient(state, batch)
    assert set(found["heads"]) == {"block0"}
    assert {name for name in metrics if name.startswith("local_loss/")} == {"local_loss/block0"}

    alone = networks.program(rule, architecture=architecture)
    like = networks.state_of(alone)._replace(
        params={name: state.params[name] for name in ("blocks", "classifier")}
    )
    expected, _ = alone.gradient(like, batch)
    assert networks.distance({n: found[n] for n in expected}, expected) < 1e-6

    trace = forward(
        made.plan.network.blocks, state.params["blocks"], stem(made.plan, batch["image"])
    )
    site = made.plan.units[0][1]
    head = made.plan.readout(site)

    def own(weights):
        outputs, _ = head.outputs(weights, head.entering(trace.features["block0"]))
        log_p = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(log_p, batch["label"][:, None], 1).mean()

    wanted = jax.grad(own)(state.params["heads"]["block0"])
    assert networks.largest(wanted) > 1e-3
    assert networks.distance(found["heads"]["block0"], wanted) < 1e-5


def test_a_global_target_is_of_the_final_loss():
    """Not of the last block's own, which would close it under other targets."""
    made = networks.program("", more=BESIDE % ("exact", ""))
    assert made.plan.experiment.losses.local.last == "final"
    more = BESIDE.replace("every: 1", "every: 1, last: local") % ("exact", "")
    text = f"fgspec: 1\nname: a\n{more}\ntraining: {{epochs: 1}}\n"
    with pytest.raises(SpecError, match="target global does not include local losses; use final"):
        loads(text)
