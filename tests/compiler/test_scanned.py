"""Scanned blocks give what unrolled ones give: parameters, metrics, noise and evaluation."""

import jax
import networks
import numpy as np
import pytest

from compiler.stacks import stacked, unstacked
from compiler.state import by_name
from compiler.trees import flatten
from fgspec.errors import UserError

DEEP = """
  type: local_mixer
  blocks: 5
  patches: 2
  channels: 8
  groups: 2
"""
SCANNED = "compile: {blocks: scanned}"
RULES = ["bp", "fa", "lg-bp", "lg-fa", "lg-fg-w", "lg-fg-a"]


def _pair(rule, more="", optimizer="{type: sgd, momentum: 0.9}", **options):
    words = f"optimizer: {optimizer}\n{more}\ncompile: {{blocks: %s}}"
    make = (
        networks.program(rule, architecture=DEEP, more=words % how, **options)
        for how in ("scanned", "unrolled")
    )
    return tuple(make)


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


@pytest.mark.parametrize("rule", RULES)
def test_scanned_is_unrolled(rule):
    pair = _pair(rule)
    assert [stack.name for stack in pair[0].plan.stacks] == ["block1-block4"]
    assert not pair[1].plan.stacks
    _assert_equal(pair)


@pytest.mark.parametrize("optimizer", ["{type: adam, weight_decay: 0.01}", "{type: lars}"])
def test_every_block_has_an_optimizer_of_its_own(optimizer):
    more = "{type: linear}"
    optimizer = optimizer[:-1] + f", schedule: {more}, factors: {{heads: 0.5}}}}"
    _assert_equal(_pair("lg-fg-a", optimizer=optimizer))


@pytest.mark.parametrize("more", ["losses: {local: {every: 2}}", "losses: {local: {last: final}}"])
def test_units_of_several_blocks_and_a_final_loss(more):
    architecture = DEEP.replace("5", "6" if "every" in more else "5")
    words = "%s\ncompile: {blocks: %s}"
    make = [
        networks.program("lg-fg-a", architecture=architecture, more=words % (more, how))
        for how in ("scanned", "unrolled")
    ]
    assert make[0].plan.stacks
    _assert_equal(make)


@pytest.mark.parametrize(
    "perturbation",
    [
        "samples: 3",
        "guess: {type: normal, set: orthogonal}, samples: 2",
    ],
)
def test_perturbations_are_the_same(perturbation):
    _assert_equal(_pair("lg-fg-a", perturbation=perturbation))


def test_perturbations_of_every_examples_weights_are_the_same():
    _assert_equal(_pair("lg-fg-w", perturbation="sharing: example"))


@pytest.mark.parametrize("every", [1, 2, 3, 9])
@pytest.mark.parametrize("blocks", ["scanned", "unrolled"])
def test_rematerialised_is_stored(every, blocks):
    words = f"compile: {{blocks: {blocks}, rematerialize: %s}}"
    pair = [networks.program("bp", architecture=DEEP, more=words % how) for how in (every, "never")]
    _assert_equal(pair)


def test_contrastive_blocks_are_scanned_too():
    more = "losses: {objective: {type: info_nce, projection: 6}, local: {}}"
    _assert_equal(_pair("lg-fg-a", more=more, augment="byol"))


def test_gradients_are_by_name():
    scanned, unrolled = _pair("lg-fg-a")
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
        networks.program("lg-fg-a", architecture=DEEP.replace("5", str(n))) for n in (4, 3)
    )
    assert four.plan.stacks
    assert not three.plan.stacks


def test_nothing_to_scan_is_one_line():
    with pytest.raises(UserError, match="no two equal blocks follow each other"):
        networks.program(
            "bp", architecture="{type: mlp, hidden: [5, 6]}", more="compile: {blocks: scanned}"
        )
