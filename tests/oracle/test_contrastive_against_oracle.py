"""InfoNCE of two views, its keys at rest, under every rule, beside the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case
from oracle.drawn import anything, check, once

RULES = {
    "bp": "resnet18",
    "l-bp": "mlp",
    "lg-bp": "chain",
    "fa": "conv_net",
    "dfa": "local_mixer",
    "fg-w": "chain",
    "fg-a": "local_mixer",
    "lg-fg-w": "conv_net",
    "lg-fg-a": "local_mixer",
}


@st.composite
def cases(draw, names, **words):
    found = draw(anything(names)) | {"objective": "info_nce", "seed": draw(st.integers(0, 1000))}
    if words.get("rule", "").endswith("fg-a") or words.get("space") == "activation":
        found |= {"sharing": draw(st.sampled_from([None, "example", "batch"]))}
    return Case(**{**found, **words})


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    once(given(cases((RULES[rule],), rule=rule))(check))()


@pytest.mark.parametrize("space", ["weight", "activation"])
def test_finite_differences_leave_the_keys_at_rest(space):
    """As a stop-gradient stops no difference."""
    words = {"estimator": "finite_difference", "space": space}
    for target, name in (("global", "mlp"), ("local", "local_mixer")):
        once(given(cases((name,), target=target, **words))(check))()
