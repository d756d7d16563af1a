"""Scanned blocks give what unrolled ones give: parameters, metrics, noise and evaluation."""

from functools import cache

import jax
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten
from compiler.plan.stacks import stacked, unstacked
from compiler.update.state import by_name
from fgspec.errors import UserError

DEEP = """
  type: local_mixer
  blocks: 4
  patches: 2
  channels: 8
  groups: 2
"""
SCANNED = "compile: {blocks: scanned}"
SGD = "{type: sgd, momentum: 0.9}"
ADAM = "{type: adam, weight_decay: 0.01, schedule: {type: linear}}"
CLIPPED = "{type: sgd, momentum: 0.9, clip: {type: %s, limit: 0.1}}"
LARS = "{type: lars, schedule: {type: linear}, factors: {heads: 0.5}}"
CASES = {
    "bp": ("bp", "", SGD, {}),
    "lg-fa, a final loss": ("lg-fa", "losses: {local: {last: final}}", LARS, {}),
    "lg-fg-w, weights of every example": (
        "lg-fg-w",
        "",
        ADAM,
        {"perturbation": "sharing: example"},
    ),
    "lg-fg-a, units of two blocks, an orthogonal set": (
        "lg-fg-a",
        "losses: {local: {every: 2}}",
        LARS,
        {
            "architecture": DEEP.replace("4", "6"),
            "perturbation": "guess: {type: normal, set: orthogonal}, samples: 2",
        },
    ),
    "bp, every block clipped": ("bp", "", CLIPPED % "block_norm", {}),
    "lg-bp, clipped together": ("lg-bp", "", CLIPPED % "global_norm", {}),
    "lg-fg-a, two views": (
        "lg-fg-a",
        "losses: {objective: {type: info_nce, projection: 6}, local: {}}",
        SGD,
        {"augment": "crop_flip"},
    ),
}
"""(rule, losses, optimizer, other words): what the law of every estimator does not have."""


def _pair(rule, more="", optimizer=SGD, **options):
    words = f"optimizer: {optimizer}\n{more}\ncompile: {{blocks: %s}}"
    make = (
        networks.program(rule, more=words % how, **({"architecture": DEEP} | options))
        for how in ("scanned", "unrolled")
    )
    return tuple(make)


@cache
def _after(made, steps=3, rows=4):
    state = made.init(0)
    for step in range(steps):
        state, metrics = made.update(state, networks.batch_of(rows, seed=step))
    return by_name(made.plan, state), metrics, made.evaluate(state, networks.batch_of(rows))


def _assert_equal(pair):
    (a, metrics, seen), (b, expected, wanted) = (_after(made) for made in pair)
    assert flatten(a.params).keys() == flatten(b.params).keys()
    assert networks.distance(a.params, b.params) < 2e-5
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(seen["loss"], wanted["loss"], rtol=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_scanned_is_unrolled(case):
    rule, more, optimizer, options = CASES[case]
    pair = _pair(rule, more, optimizer, **options)
    (stack,), none = (made.plan.stacks for made in pair)
    assert len(stack.units) == (2 if "last: final" in more or "every: 2" in more else 3)
    assert not none
    _assert_equal(pair)


@pytest.mark.parametrize(
    ("blocks", "every"),
    [("scanned", 2), ("unrolled", 1), ("unrolled", 9)],
)
def test_rematerialised_is_stored(blocks, every):
    """Chunks with a rest, of one block, and of more than there are."""
    words = f"compile: {{blocks: {blocks}, rematerialize: %s}}"
    pair = [networks.program("bp", architecture=DEEP, more=words % how) for how in (every, "never")]
    _assert_equal(pair)


def test_gradients_are_by_name():
    scanned, unrolled = _pair("lg-fa")
    found, _ = scanned.gradient(scanned.init(0), networks.batch_of())
    expected, _ = unrolled.gradient(unrolled.init(0), networks.batch_of())
    assert networks.distance(found, expected) < 1e-5


def test_stacking_and_back_changes_nothing():
    made, _ = _pair("lg-fa")
    named = by_name(made.plan, made.init(0))
    again = unstacked(made.plan.stacks, stacked(made.plan.stacks, named.params))
    jax.tree.map(np.testing.assert_array_equal, again, named.params)


def test_auto_scans_three_equal_blocks():
    four, three = (
        networks.program("lg-fg-a", architecture=DEEP.replace("4", str(n))) for n in (4, 3)
    )
    assert four.plan.stacks
    assert not three.plan.stacks


def test_nothing_to_scan_is_one_line():
    with pytest.raises(UserError, match="no two equal blocks follow each other"):
        networks.program(
            "bp", architecture="{type: mlp, hidden: [5, 6]}", more="compile: {blocks: scanned}"
        )
