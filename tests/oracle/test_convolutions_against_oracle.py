"""Convolutional networks and chains of every layer under every rule, beside the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case
from oracle.drawn import anything, check, on_grids, once, spatial_norms, twice


@st.composite
def cases(draw, rule):
    found = {"rule": rule, "seed": draw(st.integers(0, 1000)), "batch": draw(st.integers(2, 3))}
    found |= draw(on_grids()) | {"norm": draw(spatial_norms(ignored=rule.endswith("fg-a")))}
    if "fg" in rule:
        found |= {"guess": draw(st.sampled_from(["normal", "rademacher", "sphere"]))}
        found |= {"credit": draw(st.sampled_from(["influenced", "paper"]))}
    if rule.startswith("lg-fg"):
        found |= {"replicate": draw(st.sampled_from([None, (), ("patch",)]))}
    return Case(**found)


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa"])
def test_reverse_rules(rule):
    twice(given(cases(rule))(check))()


@pytest.mark.parametrize("rule", ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
def test_forward_rules(rule):
    twice(given(cases(rule))(check))()


@pytest.mark.parametrize(
    ("head", "rule"),
    [("linear", "lg-fg-a"), ("mlp", "lg-fa"), ("cnn", "l-bp"), ("next_blocks", "lg-fg-w")],
)
def test_heads_that_read_all_positions(head, rule):
    seeds = st.integers(0, 1000)
    wanted = st.tuples(anything(("conv_net", "local_mixer")), seeds).map(
        lambda drawn: Case(rule=rule, head=head, seed=drawn[1], **drawn[0])
    )
    once(given(wanted)(check))()
