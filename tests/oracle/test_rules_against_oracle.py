"""The compiler against the oracle, rule by rule, on small networks drawn at random."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from oracle.cases import Case, Norm, compare, gap, overlapping, refused

few = settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # to make an example smaller would compile it a hundred times
    suppress_health_check=list(HealthCheck),
)
PLACES = st.sets(st.sampled_from(["begin_block", "before_linear", "after_linear"])).map(sorted)
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
        if rule.endswith("a"):
            found |= {"sharing": draw(st.sampled_from(["example", "batch"]))}
        if rule.startswith("l") and "architecture" not in found:
            found |= {"replicate": draw(AXES)}
    if rule.endswith("fa") and rule != "dfa":
        found |= {"weights": draw(st.sampled_from(["random", "sign_symmetric", "signs"]))}
    return Case(**{**found, **words})


def check(case):
    """Agreement to 1e-4, or to what the rounding of the parameters explains where it is more."""
    assert refused(case) is None, refused(case)
    found, path, rounding = compare(case)
    assume(rounding < 1e-3)
    print(f"{found:.1e} {path} (rounding {rounding:.1e}) {case}")
    assert found < max(1e-4, 30 * rounding), (found, path, rounding, case)


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa"])
def test_reverse_rules(rule):
    few(given(cases(rule))(check))()


@pytest.mark.parametrize("rule", ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"])
@pytest.mark.parametrize("kind", ["local_layer_norm", "layer_norm", "batch_norm", "none"])
def test_forward_rules(rule, kind):
    few(given(cases(rule).map(lambda case: with_norm(case, kind)))(check))()


@st.composite
def projections(draw, target):
    """A perceptron under a target, a guess and a space of Fournier et al."""
    width = st.lists(st.integers(3, 6), min_size=2, max_size=3).map(tuple)
    names = ["local", "ntk", "fixed_ntk", "global", "above", "normal", "rademacher"]
    space = draw(st.sampled_from(["weight", "activation", "block_output"]))
    found = {"rule": "", "architecture": "mlp", "target": target, "norm": Norm("none")}
    guess = draw(st.sampled_from(names if target in ("above", "sum") else names[:5]))
    found |= {"sizes": draw(width), "guess": guess, "space": space}
    return Case(**found, seed=draw(st.integers(0, 1000)), batch=draw(st.integers(2, 4)))


@pytest.mark.parametrize("target", ["global", "local", "above", "sum"])
def test_targets_along_guesses(target):
    few(given(projections(target))(check))()


@pytest.mark.parametrize("kind", ["none", "local_layer_norm"])
def test_overlapping_pairs_are_the_target_above(kind):
    case = Case(sizes=(3, 2, 2, 3), norm=Norm(kind), seed=3)
    found, wanted = overlapping(case)
    assert gap(found, wanted)[0] < 1e-4


def with_norm(case, kind):
    """The case with another type of normalization."""
    gradient = case.norm.gradient if kind != "none" else "exact"
    if kind != "none" and case.norm.type == "none":
        gradient = "exact"
    return replace(case, norm=replace(case.norm, type=kind, gradient=gradient))
