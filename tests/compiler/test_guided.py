"""What a set of samples keeps between updates moves with them, in phases and at exact updates."""

import jax
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten

GRADIENT = """
gradient:
  target: global
  estimator: forward
  perturbation: {space: weight, samples: 3, guess: {type: normal, set: {type: guided}}}
"""
MLP = "{type: mlp, hidden: [4, 3]}"
WARM = "phases: [{steps: 2, gradient: {estimator: exact}}]\n"


def _kept(state, slot=None):
    feedback = state.feedback if slot is None else state.feedback[slot]
    return {name: np.array(leaf) for name, leaf in flatten(feedback["kept"]).items()}


def _copied(state):
    return jax.tree.map(np.array, state)


def _moved(kept, grads):
    """Nine tenths of the average, and a tenth of the gradient."""
    new = flatten(grads["blocks"])
    return {name: 0.9 * m + 0.1 * np.asarray(new[name]) for name, m in kept.items()}


def _same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("every", ["", "  exact_every: 2\n"])
def test_every_update_moves_the_average_by_its_gradient(every):
    made = networks.program("", architecture=MLP, more=GRADIENT + every)
    assert not any(array.any() for array in _kept(made.init(0)).values())
    state, batch = networks.state_of(made), networks.batch_of()
    for _ in range(3):
        wanted = _moved(_kept(state), made.gradient(state, batch)[0])
        state, _ = made.update(_copied(state), batch)
        _same(_kept(state), wanted)


def test_an_average_rests_in_the_phases_of_others():
    made = networks.program("", architecture=MLP, more=WARM + GRADIENT)
    state, batch = networks.state_of(made), networks.batch_of()
    for step in range(4):
        before = _kept(state, "forward guided")
        wanted = before if step < 2 else _moved(before, made.gradient(state, batch)[0])
        state, _ = made.update(_copied(state), batch)
        _same(_kept(state, "forward guided"), wanted)


def test_many_updates_in_a_call_keep_what_single_ones_keep():
    made = networks.program("", architecture=MLP, more=GRADIENT)
    start, batch = networks.state_of(made), networks.batch_of()
    one = _copied(start)
    for _ in range(3):
        one, _ = made.update(_copied(one), batch)
    records = {name: np.stack([np.asarray(array)] * 3) for name, array in batch.items()}
    many, _ = made.updates(_copied(start), records)
    _same(_kept(many), _kept(one))
