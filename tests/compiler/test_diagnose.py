"""What the estimate of a step is worth, measured against the exact gradient of its target."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten
from compiler.named_arrays.random_streams import address
from compiler.update.diagnose import Moments, mean_over_examples, moments

MLP = "{type: mlp, hidden: [8, 6]}"


def _measured(rule, samples=4, architecture=MLP, by="block", **options):
    more = f"diagnostics: {{every: {{steps: 1}}, samples: {samples}, by: {by}}}"
    made = networks.program(rule, architecture=architecture, more=more, **options)
    state, batch = networks.state_of(made), networks.batch_of()
    return made, state, batch, jax.tree.map(float, made.diagnose(state, batch))


def _flat(block):
    return np.concatenate([np.asarray(part).ravel() for part in flatten(block).values()])


def test_parts_are_blocks_or_layers():
    """A block of one layer is that layer, whatever it is called."""
    blocks = _measured("lg-fg-a")[-1]
    layers = _measured("lg-fg-a", by="layer")[-1]
    for kind in ("cosine", "norm_ratio", "snr"):
        for block in ("block0", "block1"):
            assert layers[f"fg/{kind}/{block}/dense"] == pytest.approx(
                blocks[f"fg/{kind}/{block}"], rel=1e-5
            )
    assert len(layers) == len(blocks)


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp"])
def test_exact_rules_agree_with_themselves(rule):
    found = _measured(rule)[-1]
    for block in ("block0", "block1"):
        assert found[f"fg/cosine/{block}"] == pytest.approx(1, abs=1e-5)
        assert found[f"fg/norm_ratio/{block}"] == pytest.approx(1, abs=1e-5)
        assert (f"local_accuracy/{block}" in found) == rule.startswith("l")
    assert not [name for name in found if "snr" in name or "alignment" in name]


@pytest.mark.parametrize(
    ("precision", "least", "most"), [("float32", 1e-8, 2e-6), ("bfloat16", 1e-4, 0.1)]
)
@pytest.mark.parametrize("rule", ["dfa", "lg-bp"])
def test_the_floor_is_about_the_error_of_rounding(rule, precision, least, most):
    """Which is measured here against the same gradient in float64."""
    more = f"diagnostics: {{every: {{steps: 1}}}}\ncompile: {{precision: {precision}}}"
    made = networks.program(rule, architecture=MLP, batch=32, more=more)
    state, batch = networks.state_of(made), networks.batch_of(32)
    found = jax.tree.map(float, made.diagnose(state, batch))
    losses = "" if rule == "dfa" else "losses: {local: {}, isolate: block}\n"
    target = "global" if rule == "dfa" else "local"
    exact = networks.program(
        "", architecture=MLP, batch=32, more=f"{losses}gradient: {{target: {target}}}"
    )
    true, _ = exact.gradient(state._replace(feedback={}), batch, float64=True)
    rounded, _ = networks.program(
        "",
        architecture=MLP,
        batch=32,
        more=f"{losses}gradient: {{target: {target}}}\ncompile: {{precision: {precision}}}",
    ).gradient(state._replace(feedback={}), batch)
    for block in ("block0", "block1"):
        wanted, own = (_flat(tree["blocks"][block]).astype(np.float64) for tree in (true, rounded))
        error = np.linalg.norm(own - wanted) / np.linalg.norm(wanted)
        assert least < found[f"fg/floor/{block}"] < most
        assert error / 10 < found[f"fg/floor/{block}"] < 10 * error


REPLICATED = networks.MIXER % networks.LOCAL_NORM


@pytest.mark.parametrize(
    ("rule", "target", "architecture"),
    [
        ("fg-w", "bp", MLP),
        ("lg-fg-a", "lg-bp", MLP),
        ("lg-fg-a", "lg-bp", REPLICATED),
        ("lg-fg-w", "lg-bp", REPLICATED),
        ("dfa", "bp", MLP),
    ],
)
def test_cosine_and_ratio_are_of_the_update_with_the_exact_gradient(rule, target, architecture):
    """Also where a loss has copies, which sum to it."""
    made, state, batch, found = _measured(rule, architecture=architecture)
    own = made.gradient(state, batch)[0]["blocks"]
    exact = networks.program(target, architecture=architecture)
    reference = networks.state_of(exact)._replace(params=state.params)
    wanted = exact.gradient(reference, batch)[0]["blocks"]
    for block in own:
        a, b = (
            np.concatenate([v.ravel() for v in flatten(t[block]).values()]) for t in (own, wanted)
        )
        size = np.linalg.norm(a), np.linalg.norm(b)
        assert found[f"fg/cosine/{block}"] == pytest.approx(a @ b / size[0] / size[1], abs=1e-5)
        assert found[f"fg/norm_ratio/{block}"] == pytest.approx(size[0] / size[1], rel=1e-4)


def test_signal_to_noise_grows_with_the_samples_averaged():
    one, four = (_measured("fg-w", 200, perturbation=f"samples: {k}")[-1] for k in (1, 4))
    for block in ("block0", "block1"):
        ratio = four[f"fg/snr/{block}"] / one[f"fg/snr/{block}"]
        assert 2.6 < ratio < 6.0


def test_alignment_of_backward_weights():
    _, state, _, found = _measured("fa")
    forward = np.asarray(state.params["blocks"]["block1"]["dense"]["w"]).ravel()
    backward = np.asarray(state.feedback["blocks"]["block1"]["dense"]["w"]).ravel()
    cosine = forward @ backward / np.linalg.norm(forward) / np.linalg.norm(backward)
    assert found["fg/alignment/block1/dense"] == pytest.approx(cosine, abs=1e-5)


def test_moments_are_those_of_the_draws():
    """Also where the deviations from the target are a thousandth of it."""
    rng = np.random.default_rng(0)
    target = rng.standard_normal(7)
    drawn = (1000 * target + rng.standard_normal((50, 7))).astype(np.float32)
    wanted = jnp.asarray(1000 * target, jnp.float32)
    found = moments(lambda row: {"a": row}, {"a": wanted}, jnp.asarray(drawn))["a"]
    exact = drawn.astype(np.float64)
    sizes = np.linalg.norm(exact, axis=1) * np.linalg.norm(target)
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.variance, exact.var(0, ddof=1).sum(), rtol=1e-4)
    np.testing.assert_allclose(found.cosine, (exact @ target / sizes).mean(), rtol=1e-6)


def _scaled(rule, parts, size=8, more="", **options):
    """A program that measures the noise scale, its state, a batch, and what it measures."""
    more = f"diagnostics: {{every: {{steps: 1}}, noise_scale: {parts}, {more}}}"
    options = {"architecture": MLP, **options}
    made = networks.program(rule, more=more, batch=size, **options)
    state, batch = networks.state_of(made), networks.batch_of(size)
    return made, state, batch, jax.tree.map(float, made.diagnose(state, batch))


def test_noise_scale_of_single_examples_by_hand():
    """One hidden layer and the classifier, their gradients written out in NumPy."""
    made, state, batch, found = _scaled(
        "bp", 8, architecture="{type: mlp, hidden: [6], normalization: {type: none}}"
    )
    data, (block,) = made.plan.data, state.params["blocks"].values()
    (layer,), classifier = block.values(), state.params["classifier"]
    image = (np.asarray(batch["image"], np.float64) - data.mean) / data.std
    x = image.reshape(8, -1)
    before = x @ np.asarray(layer["w"], np.float64).reshape(x.shape[1], 6) + np.ravel(layer["b"])
    weights = np.asarray(classifier["w"], np.float64).reshape(6, 10)
    outputs = np.maximum(before, 0) @ weights + np.ravel(classifier["b"])
    likely = np.exp(outputs - outputs.max(1, keepdims=True))
    error = likely / likely.sum(1, keepdims=True) - np.eye(10)[np.asarray(batch["label"])]
    signal = (error @ weights.T) * (before > 0)
    each = np.concatenate([(x[:, :, None] * signal[:, None]).reshape(8, -1), signal], axis=1)
    mean, variance = each.mean(0), each.var(0, ddof=1).sum()
    squared = mean @ mean - variance / 8
    for part in ("", "/block0"):
        assert found[f"fg/example_variance{part}"] == pytest.approx(variance, rel=1e-4)
        assert found[f"fg/squared_norm{part}"] == pytest.approx(squared, rel=1e-4)
        assert found[f"fg/noise_scale{part}"] == pytest.approx(variance / squared, rel=1e-3)


def test_variance_and_norm_have_no_bias():
    """Of normal examples with known mean and covariance, in parts of one and of several."""
    rng = np.random.default_rng(0)
    mean, deviations = rng.standard_normal(5), np.linspace(0.5, 4, 5)
    batches = mean + deviations * rng.standard_normal((4000, 12, 5))
    for count in (12, 3):
        parts = batches.reshape(4000, count, -1, 5).mean(2)
        means, variances = parts.mean(1), parts.var(1, ddof=1).sum(-1)
        each = [
            mean_over_examples(Moments(*own, cosine=0), 12 // count, count)
            for own in zip(jnp.asarray(means), variances, strict=True)
        ]
        for found, wanted in (
            ([one.variance for one in each], np.square(deviations).sum()),
            ([one.squared for one in each], mean @ mean),
        ):
            error = np.std(found) / np.sqrt(len(found))
            assert abs(np.mean(found) - wanted) < 4 * error


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("bp", {}),
        ("dfa", {}),
        ("fg-w", {}),
        ("lg-fg-a", {"architecture": networks.MIXER % networks.LOCAL_NORM}),
        ("fg-a", {"perturbation": "sharing: batch"}),
        ("fg-a", {"perturbation": "projection: {grouping: tensor}"}),
    ],
)
def test_parts_make_up_the_batch(rule, options):
    """E|g|^2 of the whole batch is |G|^2 + tr(S) / n, by McCandlish et al. 2018."""
    size, samples = 4, 6
    made, state, batch, found = _scaled(rule, 2, size, more=f"samples: {samples}", **options)
    drawn = made.plan.perturbation is not None
    squares = {}
    for k in range(samples if drawn else 1):
        stream = address(state.key, "diagnostics", state.step, k)
        key = jax.random.key_data(stream) if drawn else state.key
        for block, own in made.gradient(state._replace(key=key), batch)[0]["blocks"].items():
            squares.setdefault(block, []).append(np.square(_flat(own).astype(np.float64)).sum())
    total = {f"/{block}": np.mean(each) for block, each in squares.items()}
    total[""] = sum(total.values())
    for part, wanted in total.items():
        told = found[f"fg/squared_norm{part}"] + found[f"fg/example_variance{part}"] / size
        assert told == pytest.approx(wanted, rel=2e-4)


def test_noise_of_every_example_adds_to_its_variance():
    """|G|^2 is that of the exact gradient, tr(S) grows by n times what a batch's guess adds."""
    *_, exact = _scaled("bp", 4)
    *_, found = _scaled("fg-a", 4, more="samples: 4000")
    for block in ("block0", "block1"):
        squared = exact[f"fg/squared_norm/{block}"] + exact[f"fg/example_variance/{block}"] / 8
        added = 8 * squared / found[f"fg/snr/{block}"]
        wanted = exact[f"fg/example_variance/{block}"] + added
        assert found[f"fg/example_variance/{block}"] == pytest.approx(wanted, rel=0.05)
        gap = found[f"fg/squared_norm/{block}"] - exact[f"fg/squared_norm/{block}"]
        assert abs(gap) < 0.03 * added
