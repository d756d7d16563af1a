"""Explanations: words for every method, pictures that are sound, the page of all rules."""

import re
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from networks import CHAIN, CONV_NET, INFO, LOCAL_NORM, RESNET, program

from compiler.plan.plan import make_plan
from fgspec.explaining.explanation import letters_of, losses_of
from fgspec.explaining.picture import CARD, WIDTH, picture
from fgspec.explaining.words import bias, estimates, learns_from, losses, stops
from fgspec.formulas.losses import LOSS
from fgspec.formulas.styles import LATEX, TEXT
from fgspec.formulas.tree import Equation, Expr, Function, Symbol
from fgspec.loading.spec_file import loads
from fgspec.reference.find import found
from fgspec.reference.terminal import explained
from fgspec.spec.kinds import working
from fgspec.spec.objectives import OBJECTIVES
from fgspec.spec.predictions import PREDICTIONS
from fgspec.spec.rules import RULES
from fgspec.testing.learning import check_objective

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
NETWORKS = {
    "mixer": None,
    "chain": CHAIN % "{type: none}",
    "convnet": CONV_NET % "{type: batch_norm}",
    "resnet": RESNET % "{type: batch_norm}",
    "mlp": "{type: mlp, hidden: [4, 4, 4]}",
    "vit": "{type: vit, blocks: 2, patches: 2, channels: 6, heads: 2}",
    "mixer of patches": "{type: mlp_mixer, blocks: 2, patches: 2, channels: 6, groups: 2}",
    "mixer of windows": "{type: conv_mixer, blocks: 2, patches: 4, channels: 6, size: 3}",
    "deep": "{type: mlp, hidden: [4, 4, 4, 4, 4]}",
}


def texts(svg):
    """(left, right, y, text) of every text of a picture, 7.2 units a letter."""
    for node in ET.fromstring(svg).iter(f"{SVG}text"):
        x, long = float(node.get("x")), 7.2 * len(node.text)
        left = x - long if node.get("text-anchor") == "end" else x
        yield left, left + long, float(node.get("y")), node.text


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("rule", ["lg-fg-a", "l-fa", "dfa"])
def test_pictures_name_all_and_nothing_overlaps(rule, network):
    plan = program(rule, architecture=NETWORKS[network]).plan
    drawn = list(texts(picture(plan)))
    said = " ".join(text for *_, text in drawn)
    for block in plan.network.blocks:
        assert "4 alike" in said or block.name in said
    assert not re.search(r"\w…( |$)", said), "a name was cut"
    assert ("noise u" in said) == (rule == "lg-fg-a")
    assert ("gradient stops" in said) == (rule != "l-fa" or "classifier" in said)
    for left, right, y, text in drawn:
        assert 0 <= left < WIDTH, text
        assert right < WIDTH + 40, text  # letters are narrower than reckoned here
        same = [other for other in drawn if abs(other[2] - y) < 8 and other[3] != text]
        apart = [o for o in same if (o[0] < CARD) == (left < CARD)]
        assert all(o[0] >= left + 4 * len(text) or left >= o[0] + 4 * len(o[3]) for o in apart)


def losing(local, more="", augment="none", answer="cross_entropy"):
    """The plan of two blocks with local losses."""
    text = f"""
fgspec: 1
name: losses
rule: lg-bp
data: {{source: {{type: cifar10}}, batch_size: 4, augment: {augment}}}
architecture: {{type: chain, patches: 4, blocks: [{DENSE}, {DENSE}]}}
losses: {{objective: {answer}, local: {local}{more}}}
training: {{epochs: 2}}
"""
    return make_plan(loads(text).experiment, INFO)


DENSE = "[{type: dense, channels: 4}]"


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_words_and_picture_name_the_loss(name):
    kind = OBJECTIVES.kind(name)
    reads = "pooled" if kind.reads_grid else "replicated"
    plan = losing(
        f"{{objective: {name}, aggregation: {reads}}}",
        augment="byol" if kind.views > 1 else "none",
        answer="cross_entropy" if kind.local_only else name,
    )
    said, drawn = " ".join(losses(plan)), list(texts(picture(plan)))
    called = plan.local_objective.called()
    assert f"the {called} of {plan.local_objective.reading()}" in said
    beside = " ".join(text for left, _, _, text in drawn if left > CARD)
    assert called in beside
    assert all(right < WIDTH + 12 for _, right, _, _ in drawn), "letters are narrower than reckoned"
    assert f"The {plan.answer.readout()} reads" in said
    assert plan.answer.readout() in [text for *_, text in drawn]
    assert (kind.variants > 1) == ("per row" in beside and kind.views == 1)


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_has_its_formula(name):
    """The law of objectives evaluates it; here it is shown wherever the objective is explained."""
    *_, last = equations = tuple(OBJECTIVES.kind(name)().formulas())
    assert last.left == LOSS
    for equation in equations:
        latex = equation.show(LATEX)
        assert latex.count(r"\left") == latex.count(r"\right")
    in_terminal = explained(found(f"losses.objective={name}"), 400)
    assert all(equation.show(TEXT) in in_terminal for equation in equations)
    told = [says for equation in equations for says in equation.letters]
    defined = [equation.left.text for equation in equations]
    for symbol in symbols([equation.right for equation in equations]):
        letter = symbol.text.partition("m")[0]  # of an indicator its bracket
        assert symbol.text in defined or any(says.startswith(letter) for says in told), letter


def symbols(part):
    """Every symbol in expressions."""
    if isinstance(part, Symbol):
        yield part
    elif isinstance(part, list | tuple):
        for each in part:
            yield from symbols(each)
    elif isinstance(part, Expr):
        yield from symbols([getattr(part, field.name) for field in fields(part)])


def test_a_spec_is_explained_with_the_formulas_of_all_its_losses():
    plan = losing("{objective: forward_forward}")
    assert [title for title, _ in losses_of(plan)] == ["The goodness loss", "The cross entropy"]
    (_, own), _ = losses_of(plan)
    assert own[0].show(TEXT) == "G[n] = Σ_c (h[nc])²"
    assert "θ the threshold, 2" in letters_of(own)


def test_a_wrong_formula_is_found():
    right = type(working(OBJECTIVES.kind("forward_forward")()))

    class Wrong(right):
        behaviour = None

        def formulas(self):
            first, last = super().formulas()
            yield first
            yield Equation(last.left, Function("positive part", last.right.of), "")

    with pytest.raises(AssertionError, match="formulas"):
        check_objective(Wrong())


@pytest.mark.parametrize("name", PREDICTIONS.names())
def test_words_and_picture_say_how_a_model_answers(name):
    kind = PREDICTIONS.kind(name)
    local = kind.needs.get("losses", {}).get("local", {}).get("objective", "null")
    plan = losing(f"{{objective: {local}}}", f", prediction: {name}")
    said, drawn = " ".join(losses(plan)), [text for *_, text in texts(picture(plan))]
    assert kind.says in said
    assert bool(kind.says) == bool(kind.short)
    assert ("answer" in drawn) == bool(kind.short)
    assert len(kind.short) <= 50
    assert ("not by the classifier" in drawn) == (not kind.reads_classifier)
    assert ("classifier does not give the answer" in said) == (not kind.reads_classifier)


def test_the_picture_names_the_blocks_that_the_classifier_reads():
    plan = losing("{objective: forward_forward}", ", classifier_reads: after_first")
    assert "reads block1" in [text for *_, text in texts(picture(plan))]


def test_words_say_what_the_rule_does():
    local, whole = program("lg-bp").plan, program("l-bp").plan
    assert "stop between blocks" in stops(local)
    assert "stop nowhere" in stops(whole)
    assert learns_from(whole, 0) == [0, 1]
    assert learns_from(local, 0) == [0]
    assert "random signs" in " ".join(estimates(program("fg-a").plan))
    assert bias(program("fg-a").plan).startswith("None")
    assert "backward weights" in bias(program("fa").plan)
    paper = program("lg-fg-w", norm=LOCAL_NORM, perturbation="space: weight, credit: paper")
    assert "leaves out" in bias(paper.plan)


def test_the_page_has_every_rule_with_its_picture():
    page = (DOCS / "rules.md").read_text()
    for name in RULES.names():
        assert f"### `{name}`" in page
    pictures = re.findall(r"\(pictures/([^)]*)\)", page)
    assert len(pictures) == len(set(pictures)) > len(RULES.names())
    for file in pictures:
        ET.fromstring((DOCS / "pictures" / file).read_text())
