"""Contrastive training: scale, shared noise, heads, readout, statistics, and that it learns."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

import fgspec
from compiler.augment.recipes import augmented
from compiler.cost.by_part import by_part
from compiler.cost.compiled import compile_update
from compiler.cost.counts import counts
from compiler.cost.update_flops import flops_by_scope, update_flops
from compiler.estimators.context import drawn
from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.random_streams import key_data
from compiler.network.network import forward, patchify, standardized
from compiler.network.readout import averaged
from compiler.network.running import CLASSIFIER, MOMENTUM
from fgspec.loading.spec_file import loads
from fgspec.show.bias_notes import notes
from fgspec.training.logbook import read

TARGET = {"bp": ["fg-a"], "lg-bp": ["lg-fg-a", "lg-fg-w"]}
OBJECTIVE = "losses: {objective: {type: info_nce, projection: 6, temperature: 0.4%s}}"
MORE = OBJECTIVE % ""
FREE = OBJECTIVE % ", keys: free"
MLP = "{type: mlp, hidden: [6, 5]%s}"
MIXER = "{type: local_mixer, blocks: 2, patches: 2, channels: 8, groups: 2}"
SMALL = "{type: local_mixer, blocks: 2, patches: 2, channels: 6, groups: 2}"


def _program(rule, more=MORE, architecture=MIXER, **options):
    made = partial(networks.program, augment="crop_flip", architecture=architecture)
    return made(rule, more=more, **options)


def _views(made, state, batch):
    """What the blocks train on, [2 N, p, g, c]."""
    if "views" in batch:
        return _stem(made, batch["views"])
    data = made.plan.experiment.data
    images = augmented(data.augment, 2, batch["image"], state.key, state.step)
    return _stem(made, images)


def _stem(made, images):
    return patchify(
        standardized(images, made.plan.data.mean, made.plan.data.std), made.plan.network.grid
    )


def _info_nce(outputs, stop=jax.lax.stop_gradient):
    """Ren et al. 2022, section 4, temperature 0.4: mean over both directions; `stop` of keys."""
    first, second = jnp.split(outputs / jnp.linalg.norm(outputs, axis=1, keepdims=True), 2)
    total = jnp.zeros(())
    for anchor, other in ((first, second), (second, first)):
        across = jnp.exp(anchor @ stop(other).T / 0.4)
        within = jnp.exp(anchor @ stop(anchor).T / 0.4)
        negatives = across.sum(1) + within.sum(1) - jnp.diag(within)
        total += jnp.log(negatives / jnp.diag(across)).mean() / 2
    return total


def _by_hand(made, state, batch, stop=jax.lax.stop_gradient):
    """Gradient of blocks and heads: of the losses after the blocks that have a head, and the final.

    Features do not pass a block with a head, as nothing passes it under greedy isolation.
    """
    network, x = made.plan.network, _views(made, state, batch)

    def loss(params):
        total, h, heads = jnp.zeros(()), x, params["heads"]
        for block in network.blocks:
            h = forward((block,), params["blocks"], h).output
            if block.name in heads:
                total += _info_nce(_read(network.head_norm(h).mean(1), heads[block.name]), stop)
                h = jax.lax.stop_gradient(h)
        if "final" in heads:
            total += _info_nce(
                _read(network.classifier.layers[0].before(averaged(h)), heads["final"]), stop
            )
        return total

    return jax.jit(jax.grad(loss))({name: state.params[name] for name in ("blocks", "heads")})


def _read(features, head):
    return features.reshape(len(features), -1) @ head["w"] + head["b"][None]


def _over_basis(rule, more=MORE, how="", alike=True, architecture=MIXER, **exactly):
    """Sum of the estimates over a full orthonormal basis, all rows perturbed alike or not.

    `views` and `float64` are those of the gradient.
    """
    views, float64 = exactly.get("views", {}), exactly.get("float64", False)
    made = partial(_program, rule, more, architecture)
    once, given = made(perturbation=how), {}
    alike = alike and rule.endswith("a")
    for elements in networks.elements(once):
        shapes = {n: e.shape[1:] if alike else e.shape for n, e in elements.items()}
        for name, rows in networks.basis(shapes, dtype=float if float64 else np.float32).items():
            shape = (len(rows), *elements[name].shape)
            given[name] = np.broadcast_to(rows[:, None], shape) if alike else rows
    total = max(len(rows) for rows in given.values())
    with jax.enable_x64(float64):
        padded = {
            name: jnp.asarray(np.pad(rows, [(0, total - len(rows))] + [(0, 0)] * (rows.ndim - 1)))
            for name, rows in given.items()
        }
    whole = made(perturbation=f"samples: {total}, {how}")
    batch = networks.batch_of() | views
    grads, _ = whole.gradient(networks.state_of(whole), batch, padded, float64=float64)
    grads = jax.device_get(grads)
    return jax.tree.map(lambda g: g * total, grads["blocks"]) | {"heads": grads["heads"]}


@pytest.mark.parametrize("target", TARGET)
def test_gradients_are_those_of_the_mean_over_anchors(target):
    """Mistakes 6 and 18: neither half scale, nor projections untrained or divided by copies.

    Each view has its own tangent along the perturbation that both share.
    """
    made = _program(target)
    state, batch = networks.state_of(made), networks.batch_of()
    expected = _by_hand(made, state, batch)
    found, _ = made.gradient(state, batch)
    assert networks.distance({n: found[n] for n in expected}, expected) < 2e-5
    for rule in TARGET[target]:
        summed = _over_basis(rule)
        assert networks.distance(summed.pop("heads"), expected["heads"]) < 2e-5
        assert networks.distance(summed, expected["blocks"]) < 5e-5


def _not_stopped(keys):
    return keys


@pytest.mark.parametrize("target", TARGET)
def test_keys_that_are_free_carry_gradient(target):
    """A row answers for the losses of all anchors, whose derivatives are summed.

    In float64: in float32 this network magnifies rounding beyond what could tell a fault.
    """
    made = _program(target, FREE, SMALL)
    state, batch = networks.state_of(made), networks.batch_of()
    how = made.plan.experiment.data.augment
    views = {"views": augmented(how, 2, batch["image"], state.key, 0)}
    batch |= views
    with jax.enable_x64(True):
        wide, images = (networks.wide(tree) for tree in (state, batch))
        expected = jax.device_get(_by_hand(made, wide, images, _not_stopped))
        stopped = jax.device_get(_by_hand(made, wide, images))
    found, _ = made.gradient(state, batch, float64=True)
    assert networks.apart({n: found[n] for n in expected}, expected) < 1e-12
    assert networks.apart(expected, stopped) > 0.1
    for rule in TARGET[target]:
        summed = _over_basis(rule, FREE, "", False, SMALL, views=views, float64=True)
        assert networks.apart(summed.pop("heads"), expected["heads"]) < 1e-12
        assert networks.apart(summed, expected["blocks"]) < 1e-10


def test_by_the_papers_credit_noise_of_its_own_finds_the_gradient_of_stopped_keys():
    """Figure 4: rows that answer for their own anchor alone; shared noise is biased."""
    made = _program("lg-bp", FREE, SMALL)
    state, batch = networks.state_of(made), networks.batch_of()
    stopped = _by_hand(made, state, batch)["blocks"]
    found = _over_basis("lg-fg-a", FREE, "credit: paper", False, SMALL)
    assert networks.distance({k: v for k, v in found.items() if k != "heads"}, stopped) < 1e-4
    shared = _program("lg-fg-a", more=FREE, perturbation="credit: paper, sharing: views")
    assert [note for note in notes(shared.plan) if note.startswith("biased")]


@pytest.mark.parametrize(
    ("sharing", "rows", "equal"), [("", 8, True), ("example", 8, False), ("batch", 1, None)]
)
def test_views_share_their_noise_by_default(sharing, rows, equal):
    options = f"sharing: {sharing}" if sharing else "samples: 1"
    plan = _program("lg-fg-a", perturbation=options).plan
    element = plan.perturbed(plan.segments[1])["block1/token"]
    assert element.shape[0] == rows
    name = "block1/token"
    noise = drawn(plan, key_data(0), jnp.zeros((), jnp.int32))({name: element.shape}, 0)[name]
    if equal is not None:
        assert bool((noise[:4] == noise[4:]).all()) == equal
        assert not (noise[0] == noise[1]).all()


def test_fused_losses_equal_naive_ones():
    fused = _program("lg-fg-a")
    naive = _program("lg-fg-a", more=MORE + "\ncompile: {losses: naive}")
    state, batch = networks.state_of(fused), networks.batch_of()
    found, expected = (made.gradient(state, batch)[0] for made in (fused, naive))
    assert networks.distance(found, expected) < 1e-5


def test_with_the_forward_weights_feedback_alignment_is_backprop():
    made, twin = (_program(rule, architecture=MLP % "") for rule in ("fa", "bp"))
    state, batch = networks.state_of(made), networks.batch_of()
    params = flatten(state.params)
    state = state._replace(feedback=unflatten({p: params[p] for p in flatten(state.feedback)}))
    found, _ = made.gradient(state, batch)
    expected, _ = twin.gradient(networks.state_of(twin), batch)
    assert networks.distance(found, expected) < 1e-5


def test_direct_feedback_sends_the_error_of_the_projections():
    made = _program("dfa", architecture=MLP % "")
    state, batch = networks.state_of(made), networks.batch_of()
    trace = forward(made.plan.network.blocks, state.params["blocks"], _views(made, state, batch))
    head = state.params["heads"]["final"]
    outputs = trace.output.reshape(8, -1) @ head["w"] + head["b"][None]
    error = jax.grad(_info_nce)(outputs)
    found, _ = made.gradient(state, batch)
    for block, layer in (("block0", "block0/dense"), ("block1", "block1/dense")):
        back = state.feedback["blocks"][block]["dense"]["w"]
        sent = jnp.where(
            trace.layers[layer].derivative, jnp.einsum("nk,kpgc->npgc", error, back), 0
        )
        expected = jnp.einsum("npgc,npgd->cd", trace.layers[layer].input, sent)
        np.testing.assert_allclose(
            found["blocks"][block]["dense"]["w"][:, 0], expected, rtol=1e-4, atol=1e-6
        )


def test_the_readout_learns_labels_from_clean_images_and_nothing_else_does():
    made = _program("lg-fg-a", architecture=MLP % "")
    state, batch = networks.state_of(made), networks.batch_of()
    plain = networks.program("bp", architecture=MLP % "")
    expected, of_plain = plain.gradient(
        networks.state_of(plain)._replace(params=state.params), batch
    )
    found, metrics = made.gradient(state, batch)
    assert networks.distance(found["classifier"], expected["classifier"]) < 1e-5
    assert float(metrics["train/loss"]) == pytest.approx(float(of_plain["train/loss"]), rel=1e-5)
    other, _ = made.gradient(state, batch | {"label": (batch["label"] + 1) % 10})
    assert networks.largest(jax.tree.map(jnp.subtract, other["blocks"], found["blocks"])) == 0
    assert networks.largest(jax.tree.map(jnp.subtract, other["heads"], found["heads"])) == 0


def test_evaluation_is_that_of_the_readout():
    made, plain = (
        _program("lg-fg-a", architecture=MLP % ""),
        networks.program("bp", architecture=MLP % ""),
    )
    state, batch = networks.state_of(made), networks.batch_of()
    found, expected = (m.evaluate(state, batch) for m in (made, plain))
    assert jax.tree.map(float, found) == pytest.approx(jax.tree.map(float, expected), rel=1e-5)


def test_statistics_are_moved_once_by_both_views_and_the_readouts_by_clean_images():
    norm = ", normalization: {type: batch_norm, placement: [after_linear]}"
    made = _program("bp", architecture=MLP % norm)
    state, batch = networks.state_of(made), networks.batch_of()
    blocks, params = made.plan.network.blocks, state.params["blocks"]
    clean = forward(blocks, params, _stem(made, batch["image"]), running=state.statistics).output
    seen = forward(blocks, params, _views(made, state, batch)).layers
    old = jax.device_get(state.statistics)
    after, _ = made.update(state, batch)
    expected = {path: layer.moments["after"] for path, layer in seen.items()}
    readout = made.plan.network.classifier.layers[0]
    read = {"before": readout.before.moments(averaged(clean))}
    assert networks.distance(
        after.statistics[f"{CLASSIFIER}/{readout.name}"],
        jax.tree.map(
            lambda o, n: MOMENTUM * o + (1 - MOMENTUM) * n,
            old[f"{CLASSIFIER}/{readout.name}"],
            read,
        ),
    ) < 1e-5  # fmt: skip
    for path, moments in expected.items():
        mixed = jax.tree.map(
            lambda o, n: MOMENTUM * o + (1 - MOMENTUM) * n, old[path]["after"], moments
        )
        assert networks.distance(after.statistics[path]["after"], mixed) < 1e-5


def test_flops_against_xla():
    """Both views, the clean images and the products of the projections are counted."""
    sizes = "blocks: 2, patches: 2, channels: 128, groups: 2"
    mixer = f"{{type: local_mixer, {sizes}, normalization: {{type: none}}}}"
    more = "losses: {objective: {type: info_nce, projection: 128}}"
    made = _program("lg-fg-a", more=more, architecture=mixer, batch=64)
    ratio = compile_update(made).flops / update_flops(made.plan)
    assert 0.97 < ratio < 1.08


def test_both_views_are_counted():
    one, two = networks.program("lg-fg-a", architecture=MIXER).plan, _program("lg-fg-a").plan
    assert counts(two).losses == 2 * counts(one).losses
    assert counts(two).perturbed == 2 * counts(one).perturbed
    forward = [by_part(flops_by_scope(plan))["forward"] for plan in (one, two)]
    assert forward[1] == pytest.approx(3 * forward[0], rel=0.04)
    assert hash(two) != hash(one)


def test_an_image_without_contrast_gives_no_nan():
    made = _program("lg-fg-a")
    batch = networks.batch_of()
    state = made.init(0)
    blank = batch | {"image": jnp.zeros_like(batch["image"])}
    grads, metrics = made.gradient(state, blank)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((grads, metrics)))


SPEC = """
fgspec: 1
name: contrast
rule: lg-fg-a
data: {source: {type: synthetic, image: [8, 8, 3], classes: 4, train_examples: 256,
  test_examples: 64}, batch_size: 64, augment: {type: byol, crop_area: 0.5, flip: false}}
architecture: {type: local_mixer, blocks: 2, patches: 2, channels: 32, groups: 4}
losses: {objective: {type: info_nce, projection: 16}}
optimizer: {type: sgd, learning_rate: 0.3}
training: {epochs: 30}
"""


def test_it_learns(tmp_path):
    summary = fgspec.train(loads(SPEC), run_dir=tmp_path)
    first, *_, last = read(Path(summary["run"]) / "metrics.jsonl")
    for block in ("block0", "block1"):
        assert last[f"local_loss/{block}"] < first[f"local_loss/{block}"] - 0.1
    assert first["local_loss/block0"] == pytest.approx(np.log(127), abs=0.1)
    assert last["train/loss"] < 0.5 * first["train/loss"]
    assert last["test/error"] < 0.2
