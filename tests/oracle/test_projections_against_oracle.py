"""Targets along guesses in every space of every architecture, beside the oracle."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case
from oracle.drawn import anything, check, twice

DRAWN = ["normal", "rademacher", "sphere"]
MADE = ["local", "ntk", "fixed_ntk", "global", "above", "jacobian"]


@st.composite
def cases(draw, target, guesses):
    """A target, a guess and a space; made guesses are projected on in every way."""
    found = {"target": target, "guess": draw(st.sampled_from(guesses))} | draw(anything())
    found |= {"space": draw(st.sampled_from(["weight", "activation", "block_output"]))}
    if guesses is MADE:
        found |= {"granularity": draw(st.sampled_from([None, "example", "batch", "span"]))}
        found |= {"grouping": draw(st.sampled_from([None, "tensor", "block", "net"]))}
    return Case(**found, seed=draw(st.integers(0, 1000)), batch=draw(st.integers(2, 4)))


@pytest.mark.parametrize("target", ["global", "local", "above", "sum"])
def test_targets_along_gradients(target):
    twice(given(cases(target, MADE))(check))()


@pytest.mark.parametrize("target", ["above", "sum"])
def test_targets_along_noise(target):
    twice(given(cases(target, DRAWN))(check))()


def test_targets_by_finite_differences():
    wanted = cases("above", DRAWN).map(lambda case: replace(case, estimator="finite_difference"))
    twice(given(wanted)(check))()


@pytest.mark.parametrize(
    "how",
    [
        {"control": "local"},
        {"grouping": "tensor", "last_block": "exact"},
        {"grouping": "block", "projection": "optimal"},
    ],
)
def test_targets_along_noise_of_which_each_part_has_its_scalar(how):
    twice(given(cases("sum", DRAWN).map(lambda case: replace(case, **how)))(check))()


@pytest.mark.parametrize("estimator", ["exact", "feedback"])
def test_overlapping_pairs_of_losses(estimator):
    """Each local loss also trains the block before its own: the target `above`."""
    wanted = anything().map(lambda words: Case(target="above", estimator=estimator, **words))
    twice(given(wanted)(check))()
