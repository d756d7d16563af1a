"""InfoNCE of two views, its keys at rest, under every rule, beside the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case
from oracle.drawn import check, once, placed

RULES = {
    "bp": "resnet",
    "l-bp": "mlp",
    "lg-bp": "mixed",
    "fa": "conv",
    "dfa": "mixer",
    "fg-w": "mixed",
    "fg-a": "mixer, batch",
    "lg-fg-w": "conv",
    "lg-fg-a": "mixer",
}


@st.composite
def cases(draw, name, **words):
    found = draw(placed(name)) | {"objective": "info_nce"}
    if words.get("rule", "").endswith("fg-a") or words.get("space") == "activation":
        found |= {"sharing": draw(st.sampled_from([None, "example", "batch"]))}
    return Case(**{**found, **words})


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    once(given(cases(RULES[rule], rule=rule))(check))()


@pytest.mark.parametrize("space", ["weight", "activation"])
def test_finite_differences_leave_the_keys_at_rest(space):
    """As a stop-gradient stops no difference."""
    words = {"estimator": "finite_difference", "space": space}
    for target, name in (("global", "mlp"), ("local", "mixer")):
        once(given(cases(name, target=target, **words))(check))()
