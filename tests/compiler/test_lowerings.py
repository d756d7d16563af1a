"""Lowerings change no number but by rounding: many steps a call, examples by place, bfloat16."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from fgspec.spec.run import Compile

PAIRS = {
    "losses": "test_fused_losses_equal_naive_ones",
    "blocks": "test_scanned_is_unrolled",
    "samples": "test_samples_are_averaged_and_lowerings_agree",
    "noise": "test_noise_that_is_drawn_again_is_that_stored",
    "directional": "test_inner_products_are_tangents",
    "rematerialize": "test_rematerialised_is_stored",
    "precision": "test_bfloat16_is_float32_but_for_rounding",
    "steps_per_call": "test_many_steps_a_call_are_single_steps",
    "input": "test_batches_that_are_sent_train_as_examples_by_place_do",
}
"""field of `compile` -> the test that every pair of its lowerings gives the same numbers."""


def test_every_lowering_is_tested_against_the_others():
    texts = [path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py")]
    defined = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    assert PAIRS.keys() == Compile.model_fields.keys()
    assert set(PAIRS.values()) <= defined


RULES = ["bp", "fa", "dfa", "fdfa", "lg-bp", "fg-w", "fg-a", "lg-fg-w", "lg-fg-a"]


def _records(steps):
    batches = [networks.batch_of(seed=step) for step in range(steps)]
    return {name: jnp.stack([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("rule", ["bp", "lg-fg-a", "fdfa"])
def test_many_steps_a_call_are_single_steps(rule):
    made, records = networks.program(rule), _records(3)
    state, metrics = made.updates(made.init(0), records)
    single, seen = made.init(0), []
    for step in range(3):
        single, found = made.update(single, {name: part[step] for name, part in records.items()})
        seen.append(found)
    assert int(state.step) == 3
    assert networks.distance(state.params, single.params) < 1e-6
    for name, values in metrics.items():
        np.testing.assert_allclose(values, [found[name] for found in seen], rtol=1e-5)


def test_calls_of_any_length_give_the_same_bits():
    made, records = networks.program("lg-fg-a"), _records(6)

    def cut(first, last):
        return {name: part[first:last] for name, part in records.items()}

    whole, _ = made.updates(made.init(0), records)
    parts = made.init(0)
    for first, last in ((0, 2), (2, 4), (4, 6)):
        parts, _ = made.updates(parts, cut(first, last))
    jax.tree.map(np.testing.assert_array_equal, whole.params, parts.params)


def test_examples_by_place_are_those_sent():
    made, records = networks.program("lg-fg-a"), _records(3)
    whole = {name: part.reshape(-1, *part.shape[2:]) for name, part in records.items()}
    index = {"index": jnp.arange(12).reshape(3, 4)}
    sent, metrics = made.updates(made.init(0), records)
    picked, found = made.updates(made.init(0), index, whole)
    assert networks.distance(picked.params, sent.params) < 1e-6
    np.testing.assert_allclose(found["train/loss"], metrics["train/loss"], rtol=1e-6)


BATCH_NORM = "{type: batch_norm}"
LOW = [(rule, networks.LOCAL_NORM) for rule in RULES]
LOW += [(rule, BATCH_NORM) for rule in ("bp", "dfa", "fg-w", "lg-fg-a")]
"""Every rule; and through statistics of the batch back, past, forward, and layer by layer."""


@pytest.mark.parametrize(("rule", "norm"), LOW)
def test_bfloat16_is_float32_but_for_rounding(rule, norm):
    low = networks.program(rule, norm=norm, more="compile: {precision: bfloat16}")
    high = networks.program(rule, norm=norm)
    batch = networks.batch_of()
    found, metrics = low.gradient(networks.state_of(low), batch)
    expected, wanted = high.gradient(networks.state_of(high), batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.float32)}
    assert {value.dtype for value in metrics.values()} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(metrics["train/loss"], wanted["train/loss"], rtol=0.02)
    a, b = (jax.flatten_util.ravel_pytree(tree)[0] for tree in (found, expected))
    assert float(jnp.vdot(a, b) / jnp.linalg.norm(a) / jnp.linalg.norm(b)) > 0.97
    assert networks.distance(found, expected) > 1e-4


def test_features_are_bfloat16():
    made = networks.program("lg-fg-a", more="compile: {precision: bfloat16}")
    text = str(jax.make_jaxpr(made.update)(made.init(0), networks.batch_of()))
    assert "bf16[4,4,2,4]" in text
    assert "bf16" not in str(
        jax.make_jaxpr(networks.program("lg-fg-a").update)(made.init(0), networks.batch_of())
    )
