"""What `--set` and specs understand: settings in any order, types untold, words of others."""

from pathlib import Path

import pytest

from fgspec.cli.completion import fields
from fgspec.comparing.contract import base
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError
from fgspec.problems.synonyms import SYNONYMS
from fgspec.spec.kinds import TABLES
from fgspec.sweeps.expand import load_sweep

GOOD = "fgspec: 1\nname: a\ntraining: {epochs: 2}\narchitecture: {type: mlp}\n"


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A spec in a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    path = Path("a.yaml")
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize(
    "sets",
    [
        ["seed=1", "seed=2"],
        ["optimizer={type: adam, learning_rate: 0.2}", "optimizer.learning_rate=0.1"],
        ["optimizer=adam", "optimizer.type=sgd"],
        ["gradient.perturbation=null", "gradient.perturbation.samples=4"],
        ["architecture.hidden=[8, 4]", "architecture.hidden.0=3"],
    ],
)
def test_two_settings_that_say_something_else_are_refused(fgspec, spec, sets):
    for order in (sets, sets[::-1]):
        code, _, err = fgspec("check", spec, *order)
        assert (code, err.count("\n")) == (2, 1)
        assert "is set twice, to " in err


def test_settings_that_agree_count_in_any_order(spec):
    sets = ["optimizer=adam", "optimizer.beta1=0.5", "seed=1", "seed=1"]
    expected = load(spec, ["optimizer={type: adam, beta1: 0.5}", "seed=1"]).values()
    assert load(spec, sets).values() == load(spec, sets[::-1]).values() == expected


def test_an_arm_may_set_anew_what_its_sweep_sets_and_keeps_its_contract(spec):
    Path("b.yaml").write_text(
        "extends: a.yaml\nname: b\nrule: bp\nablation: {base: a.yaml, changes: [rule]}\n"
    )
    Path("sweep.yaml").write_text(
        "fgspec: 1\nname: s\nbase: b.yaml\nset: {optimizer: {type: adam, learning_rate: 0.2}}\n"
        "grid: {optimizer.learning_rate: [0.1, 0.3]}\n"
    )
    arms = load_sweep("sweep.yaml").arms
    assert [arm.loaded.experiment.optimizer.learning_rate for arm in arms] == [0.1, 0.3]
    assert [base(arm.loaded).experiment.optimizer.learning_rate for arm in arms] == [0.1, 0.3]


# --------------------------------------------------------------------------- types untold


def test_options_without_a_type_are_of_the_default_one(spec):
    text = GOOD + "optimizer: {learning_rate: 0.1, schedule: {}}\nlosses: {objective: {}}\n"
    said = text.replace("optimizer: {", "optimizer: {type: sgd, ").replace("{}", "{type: constant}")
    said = said.replace("objective: {type: constant}", "objective: {type: cross_entropy}")
    assert loads(text).values() == loads(said).values()
    assert load(spec, ["optimizer.momentum=0.5"]).experiment.optimizer.type == "sgd"


def test_a_base_gives_the_type(spec):
    Path("base.yaml").write_text(GOOD + "optimizer: adam\n")
    Path("top.yaml").write_text("extends: base.yaml\noptimizer: {beta1: 0.5}\n")
    assert load("top.yaml").experiment.optimizer.type == "adam"


def test_a_sweep_over_names(spec):
    Path("sweep.yaml").write_text(
        "fgspec: 1\nname: s\nbase: a.yaml\nset: {rule: fg-a}\n"
        "grid: {gradient.perturbation.guess: [rademacher, normal, sphere]}\n"
    )
    Path("a.yaml").write_text(GOOD)
    arms = load_sweep("sweep.yaml").arms
    assert [arm.label for arm in arms] == ["rademacher", "normal", "sphere"]
    guesses = [arm.loaded.experiment.gradient.perturbation.guess for arm in arms]
    assert [guess.type for guess in guesses] == ["rademacher", "normal", "sphere"]


# ------------------------------------------------------------------------------- synonyms


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("optimizer: {lr: 0.1}", "optimizer.lr: unknown key of sgd; did you mean learning_rate?"),
        ("optimizer: {type: adam, wd: 1}", "unknown key of adam; did you mean weight_decay?"),
        ("lr: 0.1", "lr: unknown key; did you mean optimizer.learning_rate?"),
        ("rule: fg-a\ngradient: {perturbation: {guess: gaussian}}", "did you mean normal?"),
        ("gradient: {perturbation: {guess: {type: Gaussian}}}", "did you mean normal?"),
        ("model: mlp", "model: unknown key; did you mean architecture?"),
    ],
)
def test_words_of_others_are_understood(line, hint):
    with pytest.raises(SpecError) as error:
        loads(GOOD + line + "\n")
    assert hint in str(error.value)


def test_synonyms_lead_to_words_of_the_language():
    paths = {word for path in fields("") for word in path[:-1].split(".")}
    names = {name for table in TABLES.values() for name in table.names()}
    assert {word for words in SYNONYMS.values() for word in words} <= paths | names
