"""What `fgspec` takes and gives where it is called from Python or a notebook."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import runs

import fgspec
from fgspec.errors.arguments import WrongArgument
from fgspec.loading.from_mapping import yaml_of
from fgspec.loading.resolved import spec_hash
from fgspec.yaml.load import parse


@pytest.fixture
def path(tmp_path):
    return runs.write_spec(tmp_path)


def test_a_path_its_text_and_the_same_mapping_are_one_spec(path):
    written = path.read_text()
    mapping = parse(written, "small.yaml").value
    specs = [path, str(path), written, mapping, json.dumps(mapping), fgspec.load(path)]
    assert len({spec_hash(fgspec.load(spec)) for spec in specs}) == 1
    longer = {spec_hash(fgspec.load(s, ["training.steps=30"])) for s in (path, written, mapping)}
    assert len(longer) == 1


def test_a_mapping_may_hold_what_python_has_for_a_value():
    value = {"a": np.float32(0.5), "b": (1, np.int64(2)), "c": {"d": None, "e": []}, "f": Path("x")}
    plain = {"a": 0.5, "b": [1, 2], "c": {"d": None, "e": []}, "f": "x"}
    assert parse(yaml_of(value), "").value == plain


@pytest.mark.parametrize("word", ["no", "1e-3", "a: b", "", "it's", "ü", "0123", "a\nb"])
def test_words_of_a_mapping_stay_words(word):
    assert parse(yaml_of({"k": {"name": word, word or "x": 1}}), "").value["k"]["name"] == word


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"optimizer": {"learning_rate": print}}, "optimizer.learning_rate: must be a number, "),
        ({"optimizer": {3: 1}}, "<mapping>: optimizer: keys must be text (got 3)"),
        ({"architecture": {"type": "mlp", "hiden": [3]}}, "architecture.hiden: unknown key of mlp"),
        (
            {"extends": "base.yaml"},
            "extends: needs a spec that is a file, because its path is relative to it",
        ),
    ],
)
def test_what_is_wrong_in_a_mapping_is_told_by_its_field(change, line, path):
    spec = parse(path.read_text(), "").value
    with pytest.raises(fgspec.SpecError) as error:
        fgspec.load(spec | change)
    assert line in str(error.value)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: fgspec.load(3), "load: spec: takes the path of a YAML file, YAML text, a mapping"),
        (lambda: fgspec.train([1]), "train: spec: takes the path"),
        (lambda: fgspec.plan(None), "plan: spec: takes the path"),
        (lambda: fgspec.compile(b"x"), "compile: spec: takes the path"),
        (lambda: fgspec.diff(0.5, "a.yaml"), "diff: a: takes the path"),
        (lambda: fgspec.load("a.yaml", "seed=1"), "load: overrides: takes a list of strings such"),
        (
            lambda: fgspec.train(resume=4),
            "train: resume: takes the path of a folder (got 4 of type",
        ),
        (lambda: fgspec.train("a.yaml", track=1), "train: track: takes a list of strings"),
        (lambda: fgspec.evaluate(None), "evaluate: run: takes the path of the folder of a run"),
        (lambda: fgspec.metrics({}), "metrics: run: takes the path of the folder of a run (got {}"),
    ],
)
def test_an_argument_of_another_kind_is_named(call, line):
    with pytest.raises(WrongArgument) as error:
        call()
    assert str(error.value).startswith(line)
    assert isinstance(error.value, TypeError)


def test_metrics_are_columns_of_one_length(tmp_path, path):
    lines = [
        {"step": 1, "train/loss": 0.5},
        {"step": 2, "train/loss": math.inf, "test/error": 0.25},
    ]
    run = runs.invent(tmp_path, path, lines=lines)
    columns = fgspec.metrics(run)
    assert columns.pop("time")[0] > 1e9
    assert columns == {
        "step": [1, 2],
        "train/loss": [0.5, math.inf],
        "test/error": [None, 0.25],
    }


def test_what_is_shown_in_a_notebook(path):
    spec = fgspec.load(path)
    assert "learning_rate: 0.05" in spec._repr_html_()
    assert spec_hash(spec)[:8] in spec._repr_html_()
    plan = fgspec.plan(spec)._repr_html_()
    assert "block1/channel" in plan
    assert "25 steps" in plan
    other = fgspec.load(path, ["description=<b>"])
    found = fgspec.compare(spec, other)._repr_html_()
    assert found.startswith("<iframe srcdoc=")
    assert "<b>" not in found
