"""The compiler against the oracle, rule by rule, on small networks."""

from dataclasses import replace

import pytest

from oracle.cases import Case, Norm
from oracle.small import check

ALL = ("begin_block", "before_linear", "after_linear")
MIXER = Case(sizes=(3, 2, 2, 3), norm=Norm("local_layer_norm", ALL, epsilon=0.1), seed=5)
ONE_PATCH = Case(
    sizes=(2, 1, 3, 4), norm=Norm("layer_norm", ALL[:2], readout=False, epsilon=0.1), batch=4
)
MLP = Case(architecture="mlp", sizes=(5, 6, 4), norm=Norm("batch_norm", ALL[2:]), batch=4, seed=8)
BARE = Case(sizes=(1, 2, 1, 3), batch=2, seed=110)


def _under(rule, case, **words):
    """The case under a rule, with the words that its kind of rule reads."""
    read = {"every": rule.startswith("l"), "weights": rule.endswith("fa") and rule != "dfa"}
    read |= {"sharing": rule.endswith("fg-a") and case.norm.type != "batch_norm"}
    read |= {"replicate": rule.startswith("l") and case.architecture == "local_mixer"}
    return replace(case, rule=rule, **{name: w for name, w in words.items() if read.get(name, 1)})


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa", "drtp"])
@pytest.mark.parametrize(
    ("case", "words"),
    [
        (MIXER, {}),
        (ONE_PATCH, {"every": 2, "weights": "signs"}),
        (MLP, {"every": 3, "weights": "sign_symmetric"}),
        (BARE, {}),
    ],
    ids=["mixer", "one patch", "mlp", "bare"],
)
def test_reverse_rules(rule, case, words):
    check(_under(rule, case, **words))


FORWARD = ["fg-w", "fg-a", "lg-fg-w", "lg-fg-a"]
KINDS = ["local_layer_norm", "layer_norm", "batch_norm", "none"]


@pytest.mark.parametrize("rule", FORWARD)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_rules(rule, kind):
    """Normalized everywhere, three samples of signs, noise of every example."""
    case = replace(MIXER, norm=Norm(kind, ALL, epsilon=0.1) if kind != "none" else Norm())
    check(_under(rule, case, samples=3, sharing="example"))


@pytest.mark.parametrize("rule", FORWARD)
@pytest.mark.parametrize("kind", KINDS)
def test_forward_rules_by_the_letter_of_the_paper(rule, kind):
    """Its credit; no gradient of the norm (NG); noise of the batch; a loss every two blocks."""
    gradient = "ignored" if rule.endswith("a") else "exact"
    norm = Norm(kind, ALL[2:], gradient=gradient) if kind != "none" else Norm()
    case = replace(ONE_PATCH, norm=norm, guess="normal", credit="paper", seed=184)
    check(_under(rule, case, every=2, sharing="batch", replicate=("group",)))


@pytest.mark.parametrize("rule", FORWARD)
@pytest.mark.parametrize("kind", ["layer_norm", "none"])
def test_forward_rules_of_a_perceptron(rule, kind):
    norm = Norm(kind, ALL[1:], epsilon=0.1) if kind != "none" else Norm()
    check(_under(rule, replace(MLP, norm=norm, guess="sphere"), samples=2))
