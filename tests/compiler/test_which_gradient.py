"""Exact updates now and then, and phases: each update takes the gradient that the spec names."""

import jax
import numpy as np
import pytest
from networks import CONV_NET, batch_of, distance, program, state_of

from compiler.named_arrays.paths import flatten
from fgspec.loading.spec_file import loads
from fgspec.problems.problems import SpecError

MLP = "{type: mlp, hidden: [6, 5], normalization: {type: layer_norm}}"
DEEP = "{type: local_mixer, blocks: 4, patches: 2, channels: 4, groups: 2}"
SECOND = "gradient: {exact_every: 2}"


def _copied(state):
    return jax.tree.map(np.array, state)


def _after(made, updates, state=None, batch=4):
    """The state after so many updates one by one, each with a batch of its own."""
    state = _copied(state_of(made) if state is None else state)
    for _ in range(updates):
        state, _ = made.update(state, batch_of(batch, int(state.step)))
        state = jax.device_get(state)
    return state


def _params(state):
    return {path: np.asarray(array) for path, array in flatten(state.params).items()}


def _same(a, b, close=1e-6):
    first, second = _params(a), _params(b)
    assert first.keys() == second.keys()
    return max(np.abs(first[path] - second[path]).max() for path in first) < close


# rule, that whose gradient its exact update takes, architecture, more
TWINS = [
    ("grape", "bp", MLP, ""),
    ("fa", "bp", MLP, ""),
    ("fg-w", "bp", MLP, ""),
    ("lg-fg-a", "lg-bp", DEEP, "compile: {blocks: scanned}"),
]
"""Of every kind of update; the laws look at one with every estimator."""


@pytest.mark.parametrize(("rule", "twin", "architecture", "more"), TWINS)
def test_the_nth_update_is_exact_and_all_others_are_not(rule, twin, architecture, more):
    """Compared with two updates of other programs: one of the rule, one of its exact twin."""
    often = program(rule, architecture=architecture, more=f"{SECOND}\n{more}")
    alone = program(rule, architecture=architecture, more=more)
    exact = program(twin, architecture=architecture, more=more)
    start = state_of(often)
    once = _after(alone, 1, start)
    assert _same(_after(often, 1, start), once)
    as_exact = once._replace(feedback={})
    twice = _after(exact, 1, as_exact)
    assert _same(_after(often, 2, start), twice)
    assert not _same(_after(alone, 2, start), twice)


@pytest.mark.parametrize(
    ("rule", "architecture", "more"),
    [
        ("fdfa", MLP, ""),
        ("dfa", CONV_NET % "{type: batch_norm}", ""),
    ],
)
def test_one_call_of_many_updates_does_what_single_ones_do(rule, architecture, more):
    """Through three updates of which the second is exact; the convolutions choose on the host."""
    made = program(rule, architecture=architecture, more=f"{SECOND}\n{more}")
    assert made.by_host == ("conv_net" in architecture)
    start = state_of(made)
    batches = [batch_of(4, step) for step in range(3)]
    records = jax.tree.map(lambda *arrays: np.stack(arrays), *batches)
    together, metrics = made.updates(_copied(start), records)
    assert len(metrics["train/loss"]) == 3
    assert _same(jax.device_get(together), _after(made, 3, start))


def test_backward_weights_that_learn_rest_at_an_exact_update():
    made = program("grape", architecture=MLP, more=SECOND)
    once = _after(made, 1)
    twice = _after(made, 1, once)
    before, after = flatten(once.feedback), flatten(twice.feedback)
    assert all(np.array_equal(after[path], part) for path, part in before.items())
    assert not _same(once, twice)


def test_exact_every_update_is_the_exact_rule():
    made = program("lg-fg-a", more="gradient: {exact_every: 1}")
    twin = program("lg-bp")
    found, _ = made.gradient(state_of(made), batch_of())
    assert distance(found, twin.gradient(state_of(twin), batch_of())[0]) < 1e-6


def test_what_is_always_exact_reads_no_exact_every():
    with pytest.raises(SpecError, match=r"gradient\.exact_every: never read"):
        program("bp", more=SECOND)


# ----------------------------------------------------------------------------------- phases

WARM = """
phases:
- {steps: 2}
- {steps: 1, gradient: {estimator: direct_feedback, exact_every: 5}}
"""


@pytest.mark.parametrize("rule", ["grape", "fg-w"])
def test_a_run_in_phases_is_the_runs_of_its_phases_one_after_the_other(rule):
    phased = program(rule, architecture=MLP, more=WARM)
    bp, dfa = (program(name, architecture=MLP) for name in ("bp", "dfa"))
    last = program(rule, architecture=MLP)
    start = jax.device_get(phased.init(0))
    state = jax.device_get(bp.init(0))
    assert _same(start, state)
    for made, updates in ((bp, 2), (dfa, 1), (last, 2)):
        drawn = jax.device_get(made.init(0)).feedback
        state = _after(made, updates, state._replace(feedback=drawn))
    whole = _after(phased, 5, start)
    assert _same(whole, state)
    assert int(whole.step) == 5
    momentum = zip(jax.tree.leaves(whole.optimizer), jax.tree.leaves(state.optimizer), strict=True)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in momentum)
    if rule == "grape":
        own = flatten(whole.feedback["grape"])
        for path, part in flatten(state.feedback).items():
            np.testing.assert_allclose(own[path], part, atol=1e-5)


def test_one_call_across_phases_does_what_single_updates_do():
    made = program("grape", architecture=MLP, more=WARM)
    records = jax.tree.map(
        lambda *arrays: np.stack(arrays), *(batch_of(4, step) for step in range(5))
    )
    start = state_of(made)
    together, _ = made.updates(_copied(start), records)
    assert _same(jax.device_get(together), _after(made, 5, start), 1e-5)


def test_local_rules_share_their_heads_in_phases():
    """Backprop of local losses, then forward gradients of their copies."""
    warm = "phases: [{steps: 1, gradient: {target: local}}]"
    phased = program("lg-fg-a", more=warm)
    parts = [program("lg-bp"), program("lg-fg-a")]
    state = start = state_of(phased)
    for made in parts:
        state = _after(made, 1, state)
    assert _same(_after(phased, 2, start), state)


def test_convolutions_choose_their_phase_on_the_host():
    phased = program("dfa", architecture=CONV_NET % "{type: layer_norm}", more=WARM)
    assert phased.by_host
    choices = [phased.plan.choice(step) for step in range(6)]
    assert choices == [(0, False), (0, False), (1, False), (2, False), (2, False), (2, False)]
    bp = program("bp", architecture=CONV_NET % "{type: layer_norm}")
    start = state_of(phased)
    assert _same(_after(phased, 2, start), _after(bp, 2, start._replace(feedback={})))


REFUSED = {
    "a": ("phases: [{}]", r"phases\[0\]: give either epochs or steps"),
    "b": ("phases: [{epochs: 1, steps: 2}]", r"phases\[0\]\.steps: give either epochs or steps"),
    "c": ("phases: [{epochs: 2}]", r"phases: the phases last 2 epochs, but must leave some"),
    "d": (
        "phases: [{epochs: 1, gradient: {target: local}}]",
        r"phases\[0\]\.gradient\.target: needs local losses",
    ),
    "e": (
        "phases: [{epochs: 1, gradient: {exact_every: 3}}]",
        r"phases\[0\]\.gradient\.exact_every: never read",
    ),
    "f": (
        "phases: [{epochs: 1}]\ncompile: {blocks: scanned}",
        r"compile\.blocks: .*phases",
    ),
    "g": ("phases: [{epochs: 1}]\nmesh: {stage: 2}", r"mesh\.stage: stages cannot train phases"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_phases_that_do_not_fit_are_refused_at_their_place(case):
    more, line = REFUSED[case]
    text = "fgspec: 1\nname: a\ntraining: {epochs: 2}\narchitecture: {type: mlp, hidden: [4]}\n"
    with pytest.raises(SpecError, match=line):
        loads(text + more)


def test_a_phase_of_the_final_loss_needs_the_final_loss_behind_the_last_block():
    """Which head there is depends on it, so the parameters of the phases would differ."""
    text = "fgspec: 1\nname: a\ntraining: {epochs: 2}\nrule: lg-fg-a\nphases: [{epochs: 1}]\n"
    with pytest.raises(SpecError, match=r"losses\.local\.last: .*use final"):
        loads(text)
    loads(text + "losses: {local: {last: final}}\n")


def test_phases_whose_heads_do_not_both_learn_are_refused():
    text = """
fgspec: 1
name: a
training: {epochs: 2}
losses: {local: {last: final}}
phases: [{epochs: 1, gradient: {target: sum}}]
gradient:
  estimator: forward
  perturbation: {space: block_output, guess: fixed_ntk}
"""
    with pytest.raises(SpecError, match=r"phases\[0\]\.gradient: the parameters of phases must be"):
        loads(text)
