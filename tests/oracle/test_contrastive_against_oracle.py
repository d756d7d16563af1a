"""InfoNCE of two views, its keys at rest, under every rule, beside the oracle."""

import pytest

from oracle.small import check, small

RULES = [
    ("bp", "resnet", {}),
    ("l-bp", "mlp", {"batch": 4}),
    ("lg-bp", "mixed", {}),
    ("fa", "conv", {}),
    ("dfa", "mixer", {"batch": 4}),
    ("fg-w", "mixed", {}),
    ("fg-a", "mixer, batch", {"sharing": "example", "batch": 4, "seed": 3}),
    ("lg-fg-w", "conv", {}),
    ("lg-fg-a", "mixer", {"sharing": "batch"}),
]


@pytest.mark.parametrize(("rule", "name", "words"), RULES, ids=[rule for rule, _, _ in RULES])
def test_rules(rule, name, words):
    check(small(name, rule=rule, objective="info_nce", **words))


@pytest.mark.parametrize("space", ["weight", "activation"])
@pytest.mark.parametrize(("target", "name"), [("global", "mlp"), ("local", "mixer")])
def test_finite_differences_leave_the_keys_at_rest(space, target, name):
    """As a stop-gradient stops no difference."""
    how = {"estimator": "finite_difference", "space": space, "target": target}
    check(small(name, objective="info_nce", **how))
