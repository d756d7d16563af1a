"""Convolutional networks and chains of every layer under every rule, beside the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case
from oracle.drawn import check, once, placed

REVERSE = {
    "bp": ("resnet, stem", "mixed"),
    "l-bp": ("full", "positionwise"),
    "lg-bp": ("conv, parts", "mixed, none"),
    "fa": ("resnet", "full"),
    "l-fa": ("mixed", "conv"),
    "lg-fa": ("resnet, stem", "positionwise"),
    "dfa": ("resnet", "mixed"),
}
FORWARD = {
    "fg-w": ("mixed", "conv"),
    "fg-a": ("full", "resnet, stem"),
    "lg-fg-w": ("mixed, none", "resnet", "positionwise"),
    "lg-fg-a": ("mixed, none", "conv, parts", "positionwise", "mixed"),
}


def _pairs(table):
    return [(rule, name) for rule, names in table.items() for name in names]


@pytest.mark.parametrize(("rule", "name"), _pairs(REVERSE))
def test_reverse_rules(rule, name):
    once(given(placed(name).map(lambda words: Case(rule=rule, **words)))(check))()


@st.composite
def perturbed(draw, rule, name):
    found = draw(placed(name, rule))
    found |= {"guess": draw(st.sampled_from(["normal", "rademacher", "sphere"]))}
    found |= {"credit": draw(st.sampled_from(["influenced", "paper"]))}
    return Case(rule=rule, **found)


@pytest.mark.parametrize(("rule", "name"), _pairs(FORWARD))
def test_forward_rules(rule, name):
    once(given(perturbed(rule, name))(check))()


@pytest.mark.parametrize(
    ("head", "rule", "name"),
    [
        ("linear", "lg-fg-a", "mixer, batch"),
        ("mlp", "lg-fa", "conv"),
        ("cnn", "l-bp", "resnet, stem"),
        ("next_blocks", "lg-fg-w", "mixed"),
    ],
)
def test_heads_that_read_all_positions(head, rule, name):
    once(given(placed(name).map(lambda words: Case(rule=rule, head=head, **words)))(check))()
