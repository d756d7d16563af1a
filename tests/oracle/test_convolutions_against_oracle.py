"""Convolutional networks and chains of every layer under every rule, beside the oracle."""

import pytest

from oracle.small import check, small

REVERSE = {
    "bp": ("resnet, stem", "mixed"),
    "l-bp": ("full", "positionwise"),
    "lg-bp": ("conv, parts", "mixed, none"),
    "fa": ("resnet", "full"),
    "l-fa": ("mixed", "conv"),
    "lg-fa": ("resnet, stem", "positionwise"),
    "dfa": ("resnet", "mixed"),
}
PAPER = {"credit": "paper"}
IGNORED = {"gradient": "ignored"}
FORWARD = [
    ("fg-w", "mixed", {"guess": "normal"}),
    ("fg-w", "conv", {"guess": "sphere"} | PAPER),
    ("fg-a", "full", {"guess": "rademacher"} | IGNORED),
    ("fg-a", "resnet, stem", {"guess": "sphere"}),
    ("lg-fg-w", "mixed, none", {"guess": "rademacher"}),
    ("lg-fg-w", "resnet", {"guess": "normal"} | PAPER),
    ("lg-fg-w", "positionwise", {"guess": "sphere"}),
    ("lg-fg-a", "mixed, none", {"guess": "sphere"} | PAPER),
    ("lg-fg-a", "conv, parts", {"guess": "normal"}),
    ("lg-fg-a", "positionwise", {"guess": "rademacher"} | IGNORED | PAPER),
    ("lg-fg-a", "mixed", {"guess": "normal"} | IGNORED),
]


@pytest.mark.parametrize(
    ("rule", "name"), [(rule, name) for rule, names in REVERSE.items() for name in names]
)
def test_reverse_rules(rule, name):
    check(small(name, rule=rule))


@pytest.mark.parametrize(("rule", "name", "words"), FORWARD)
def test_forward_rules(rule, name, words):
    check(small(name, rule=rule, batch=4, seed=17, **words))


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
    check(small(name, rule=rule, head=head))
