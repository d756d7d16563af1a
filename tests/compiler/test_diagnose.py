"""What the estimate of a step is worth, measured against the exact gradient of its target."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten
from compiler.update.diagnose import moments

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
