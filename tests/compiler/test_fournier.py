"""Targets projected on guesses against golden arrays of an independent implementation."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from fgspec.spec.guesses import GUESSES
from fgspec.spec.targets import TARGETS

GOLDEN = Path(__file__).parents[1] / "golden"
MLP = "{type: mlp, hidden: [8, 6, 5]}"
INFO = replace(networks.INFO, image_shape=(1, 1, 7), mean=(0.0,) * 7, std=(1.0,) * 7)
CELLS = {
    "weight_per_example": "space: weight, guess: {type: local}",
    "weight_batch": "space: weight, guess: {type: local}, projection: {granularity: batch}",
    "block_output": "space: block_output, guess: {type: local}",
    "block_output_random": (
        "space: block_output, guess: {type: normal}, last_block: exact, "
        "projection: {grouping: block}"
    ),
}


def _program(cell):
    heads = "losses: {local: {every: 1}}\n" if "random" not in cell else ""
    estimator = f"estimator: {{type: forward}}, perturbation: {{{CELLS[cell]}}}"
    gradient = f"gradient: {{target: global, {estimator}}}"
    return networks.program("", architecture=MLP, info=INFO, more=heads + gradient)


def _weights(arrays, kind, block):
    weight = arrays[f"{kind}/block{block}.weight"].T
    return jnp.asarray(weight[:, None], jnp.float32)


def _readout(arrays, kind, block):
    return {
        "w": jnp.asarray(arrays[f"{kind}/block{block}.head.weight"].T, jnp.float32),
        "b": jnp.asarray(arrays[f"{kind}/block{block}.head.bias"], jnp.float32),
    }


def _params(arrays, specs):
    blocks = {
        name: {
            "dense": {
                "w": _weights(arrays, "init", name[-1]),
                "b": jnp.zeros(specs["blocks"][name]["dense"]["b"].shape, jnp.float32),
            }
        }
        for name in specs["blocks"]
    }
    heads = {name: _readout(arrays, "init", name[-1]) for name in specs.get("heads", {})}
    rest = {"heads": heads} if heads else {}
    return {"blocks": blocks, "classifier": _readout(arrays, "init", 2), **rest}


@pytest.mark.parametrize("cell", CELLS)
def test_golden_cells(cell):
    arrays = dict(np.load(GOLDEN / f"fournier_mlp_{cell}.npz"))
    made = _program(cell)
    state = networks.state_of(made)._replace(params=_params(arrays, made.plan.parameters()))
    batch = {
        "image": jnp.asarray(arrays["x"], jnp.float32).reshape(4, 1, 1, 7),
        "label": jnp.asarray(arrays["y"], jnp.int32),
    }
    noise = None
    if "random" in cell:
        width = (("block0", 8), ("block1", 6), ("block2", 5))
        noise = {
            name: jnp.asarray(arrays.get(f"act_guess/{name[-1]}", np.zeros((4, size))), jnp.float32)
            for name, size in width
        }
        noise = {name: u.reshape(1, 4, 1, 1, -1) for name, u in noise.items()}
    grads, metrics = made.gradient(state, batch, noise)
    np.testing.assert_allclose(metrics["train/loss"], arrays["loss_global"], rtol=1e-6)
    for block in range(3):
        found = grads["blocks"][f"block{block}"]["dense"]["w"]
        expected = _weights(arrays, "grad", block)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    trained = {f"block{k}": grads["heads"][f"block{k}"] for k in (0, 1) if "heads" in grads}
    for name, found in (trained | {"block2": grads["classifier"]}).items():
        expected = _readout(arrays, "grad", name[-1])
        for part in "wb":
            np.testing.assert_allclose(found[part], expected[part], rtol=2e-5, atol=1e-7)


OWN = {name: guess.of_target for name, guess in GUESSES.kinds().items() if guess.of_target}


@pytest.mark.parametrize("guess", OWN)
def test_a_guess_that_is_the_target_gives_its_exact_gradient(guess):
    """`fgspec explain` says that such an estimate has no bias."""

    def gradient(how):
        isolate = "block" if TARGETS.kind(OWN[guess])().inside else "none"
        more = f"losses: {{local: {{every: 1, last: final}}, isolate: {isolate}}}\n"
        more += f"gradient: {{target: {OWN[guess]}, {how}}}"
        made = networks.program("", architecture=MLP, info=INFO, more=more)
        rng = np.random.default_rng(0)
        state = networks.state_of(made)
        drawn = jax.tree.map(
            lambda a: jnp.asarray(rng.standard_normal(a.shape), a.dtype), state.params
        )
        pixels = rng.random((4, 1, 1, 7), np.float32)
        batch = {"image": jnp.asarray(pixels), "label": jnp.array([1, 0, 2, 1])}
        return jax.tree.leaves(made.gradient(state._replace(params=drawn), batch)[0]["blocks"])

    found = gradient(
        f"estimator: {{type: forward}}, perturbation: {{space: block_output, guess: {guess}}}"
    )
    for own, exact in zip(found, gradient("estimator: {type: exact}"), strict=True):
        np.testing.assert_allclose(own, exact, atol=1e-6 + 1e-5 * np.abs(exact).max())
