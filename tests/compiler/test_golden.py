"""Every rule against arrays of an independent implementation, with its stored noise."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import networks
import numpy as np
import pytest

from compiler.estimators.context import given, make_context
from compiler.estimators.site_losses import Targets
from compiler.named_arrays.random_streams import key_data

LAYERS = ["block0/channel", "block0/group", "block1/token", "block1/channel", "block1/group"]
NORMS = {
    "ren_supervised_all_norms": "{placement: [begin_block, before_linear, after_linear]}",
    "ren_supervised_after_norm_no_norm_gradient": (
        "{placement: [after_linear], readout: false, gradient: %s}"
    ),
}
RULES = ["bp", "l-bp", "lg-bp", "fg-w", "fg-a", "lg-fg-w", "lg-fg-a"]


@pytest.fixture(scope="module", params=NORMS)
def golden(request):
    path = Path(__file__).parents[1] / "golden" / f"{request.param}.npz"
    return request.param, dict(np.load(path))


def _program(file, rule):
    norm = NORMS[file]
    if "%s" in norm:
        norm = norm % ("ignored" if rule in ("fg-a", "lg-fg-a") else "exact")
    sizes = "type: local_mixer, blocks: 2, patches: 2, channels: 16, groups: 4"
    mixer = f"{{{sizes}, normalization: {norm}}}"
    perturbation = "guess: {type: normal}, credit: paper" if "fg" in rule else ""
    return networks.program(rule, architecture=mixer, perturbation=perturbation)


def _place(arrays, kind, index, spec):
    return {k: jnp.asarray(arrays[f"{kind}/{k}{index:02d}"]).reshape(spec[k].shape) for k in "wb"}


def _params(arrays, specs):
    blocks = {}
    for index, path in enumerate(LAYERS):
        block, layer = path.split("/")
        placed = _place(arrays, "params", index, specs["blocks"][block][layer])
        blocks.setdefault(block, {})[layer] = placed
    heads = {
        name: _place(arrays, "params", 5 + index, spec)
        for index, (name, spec) in enumerate(specs.get("heads", {}).items())
    }
    classifier = _place(arrays, "params", 7, specs["classifier"])
    return {"blocks": blocks, "classifier": classifier} | ({"heads": heads} if heads else {})


def _noise(arrays, rule, shapes):
    """The stored perturbations by our names, with a leading axis of one sample."""
    name = rule.replace("-", "_")
    found = {}
    for index, path in enumerate(LAYERS):
        if rule.endswith("a"):
            noise = arrays[f"{name}/noise{index:02d}"]
            noise = noise.transpose(0, 2, 1) if path.endswith("token") else noise
            found[path] = noise.reshape(1, *shapes[path])
        elif rule.endswith("w"):
            for offset, part in enumerate("wb"):
                noise = arrays[f"{name}/noise{2 * index + offset:02d}"]
                found[f"{path}/{part}"] = noise.reshape(1, *shapes[f"{path}/{part}"])
    return {key: jnp.asarray(value) for key, value in found.items()} or None


def _gradient(golden, rule, program=None):
    file, arrays = golden
    made = program or _program(file, rule)
    state = made.init(0)._replace(params=_params(arrays, made.plan.parameters()))
    shapes = {n: e.shape for part in networks.elements(made) for n, e in part.items()}
    batch = {"image": jnp.asarray(arrays["image"]), "label": jnp.asarray(arrays["label"])}
    return made.gradient(state, batch, _noise(arrays, rule, shapes))


def _agrees(found, expected, tolerance):
    expected = np.asarray(expected)
    gap = np.abs(np.asarray(found).reshape(expected.shape) - expected).max()
    # A bias in front of a normalization has no gradient but rounding: compare on a fixed scale.
    return gap <= tolerance * max(np.abs(expected).max(), 1e-2)


def _expected(arrays, rule):
    name = rule.replace("-", "_")
    for index, path in enumerate(LAYERS):
        for part in "wb":
            yield ("blocks", *path.split("/"), part), arrays[f"{name}/{part}{index:02d}"]
    for part in "wb":
        if rule.startswith("l"):
            for block in (0, 1):
                yield ("heads", f"block{block}", part), arrays[f"{name}/{part}{5 + block:02d}"]
        yield ("classifier", part), arrays[f"{name}/{part}07"] / 0.1


@pytest.mark.parametrize("rule", RULES)
def test_gradients(golden, rule):
    file, arrays = golden
    grads, metrics = _gradient(golden, rule)
    np.testing.assert_allclose(metrics["train/loss"], arrays["loss/final"], rtol=1e-5)
    for path, expected in _expected(arrays, rule):
        found = grads
        for key in path:
            found = found[key]
        local = rule.startswith("lg") and "block0" in path
        exact = local or file != "ren_supervised_all_norms"  # see tests/golden/README.md
        assert _agrees(found, expected, 3e-5 if exact else 1e-3), path


@pytest.mark.parametrize("rule", ["lg-bp", "lg-fg-w", "lg-fg-a"])
def test_second_block_from_the_stored_output_of_the_first(golden, rule):
    """Free of the first block's rounding, block 1 agrees to float32 rounding of its own."""
    file, arrays = golden
    plan = _program(file, rule).plan
    params = _params(arrays, plan.parameters())
    noise = _noise(arrays, rule, {n: e.shape for n, e in _all_elements(plan)})
    rest = replace(plan.network, blocks=plan.network.blocks[1:])
    plan = replace(plan, segments=plan.segments[1:], network=rest)
    labels, step = jnp.asarray(arrays["label"]), jnp.zeros((), jnp.int32)
    targets = Targets(labels, labels)
    context = make_context(plan, params, {}, targets, key_data(0), step, given(noise or {}))
    x = jnp.asarray(arrays["state/block_0.post_1"])
    grads = networks.estimated(plan, params, x, context).grads["blocks"]
    for path, expected in _expected(arrays, rule):
        if path[:2] == ("blocks", "block1"):
            assert _agrees(grads["block1"][path[2]][path[3]], expected, 2e-4), path


def _all_elements(plan):
    return [item for segment in plan.segments for item in plan.perturbed(segment).items()]
