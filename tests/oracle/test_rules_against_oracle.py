"""The compiler against the oracle, rule by rule, on small networks drawn at random."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases import Case, Norm
from oracle.drawn import PLACES, check, few

AXES = st.sampled_from([None, (), ("patch",), ("group",), ("patch", "group")])


@st.composite
def norms(draw, activation=False):
    """Every type, placement, readout and gradient of a normalization that says something."""
    kind = draw(st.sampled_from(["local_layer_norm", "layer_norm", "batch_norm", "none"]))
    placement = tuple(draw(PLACES))
    readout = draw(st.booleans()) or not placement
    ignored = activation and "after_linear" in placement and kind != "none"
    gradient = draw(st.sampled_from(["exact", "ignored"])) if ignored else "exact"
    return Norm(kind, placement, readout, gradient, draw(st.sampled_from([1e-2, 1e-1])))


@st.composite
def networks(draw):
    """LocalMixers of 1 to 3 blocks and perceptrons."""
    if draw(st.integers(0, 3)) == 0:
        sizes = draw(st.lists(st.integers(3, 6), min_size=1, max_size=3))
        return {"architecture": "mlp", "sizes": tuple(sizes)}
    numbers = ((1, 3), (1, 2), (1, 3), (2, 4))
    return {"sizes": tuple(draw(st.integers(low, high)) for low, high in numbers)}


@st.composite
def cases(draw, rule, **words):
    """A case of a rule; whatever `words` do not say is drawn."""
    found = {"rule": rule, "seed": draw(st.integers(0, 1000)), "batch": draw(st.integers(2, 4))}
    found |= draw(networks()) | {"norm": draw(norms(rule.endswith("fg-a") or rule == "fg-a"))}
    blocks = found["sizes"][0] if "architecture" not in found else len(found["sizes"])
    if rule.startswith("l"):
        found["every"] = draw(st.sampled_from([n for n in range(1, blocks + 1) if not blocks % n]))
    if "fg" in rule:
        found |= {"guess": draw(st.sampled_from(["normal", "rademacher", "sphere"]))}
        found |= {"credit": draw(st.sampled_from(["influenced", "paper"]))}
        found |= {"samples": draw(st.integers(1, 3))}
        if rule.endswith("a") and found["norm"].type != "batch_norm":
            found |= {"sharing": draw(st.sampled_from(["example", "batch"]))}
        if rule.startswith("l") and "architecture" not in found:
            found |= {"replicate": draw(AXES)}
    if rule.endswith("fa") and rule != "dfa":
        found |= {"weights": draw(st.sampled_from(["random", "sign_symmetric", "signs"]))}
    return Case(**{**found, **words})


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa"])
def test_reverse_rules(rule):
    few(given(cases(rule))(check))()


@pytest.mark.parametrize("rule", ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
@pytest.mark.parametrize("kind", ["local_layer_norm", "layer_norm", "batch_norm", "none"])
def test_forward_rules(rule, kind):
    few(given(cases(rule).map(lambda case: with_norm(case, kind)))(check))()


def with_norm(case, kind):
    """The case with another type of normalization."""
    gradient = case.norm.gradient if kind != "none" else "exact"
    if kind != "none" and case.norm.type == "none":
        gradient = "exact"
    sharing = "example" if case.sharing and kind == "batch_norm" else case.sharing
    norm = replace(case.norm, type=kind, gradient=gradient)
    return replace(case, norm=norm, sharing=sharing)
