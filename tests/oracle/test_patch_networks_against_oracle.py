"""Vision transformers, mixers and attention in chains under every rule, beside the oracle."""

import pytest

from oracle.small import check, small

REVERSE = [
    ("bp", "vit"),
    ("l-bp", "mlp mixer"),
    ("lg-bp", "conv mixer"),
    ("fa", "vit"),
    ("lg-fa", "heads, layer"),
    ("dfa", "vit, mean"),
]
PAPER = {"credit": "paper"}
TOKENS, HEADS = {"replicate": ("patch",)}, {"replicate": ("group",)}
FORWARD = [
    ("lg-fg-w", "vit", {"guess": "normal"}),
    ("lg-fg-a", "vit", {"guess": "rademacher"} | TOKENS),
    ("lg-fg-a", "vit", {"guess": "sphere", "samples": 2} | HEADS),
    ("lg-fg-w", "vit, mean", {"guess": "rademacher"} | PAPER),
    ("lg-fg-a", "vit, mean", {"guess": "normal"} | PAPER),
    ("fg-a", "vit, mean", {"guess": "sphere"}),
    ("lg-fg-a", "heads", {"guess": "normal"}),
    ("lg-fg-w", "heads", {"guess": "rademacher"} | HEADS),
    ("lg-fg-a", "heads, layer", {"guess": "normal"} | PAPER),
    ("lg-fg-w", "mlp mixer", {"guess": "sphere"}),
    ("lg-fg-a", "conv mixer", {"guess": "normal"}),
]


@pytest.mark.parametrize(("rule", "name"), REVERSE)
def test_reverse_rules(rule, name):
    check(small(name, rule=rule))


@pytest.mark.parametrize(("rule", "name", "words"), FORWARD)
def test_forward_rules(rule, name, words):
    check(small(name, rule=rule, seed=3, **words))


def test_outputs_of_blocks():
    words = {"target": "local", "estimator": "forward", "space": "block_output"}
    check(small("vit", seed=5, guess="normal", replicate=("patch", "group"), **words))
