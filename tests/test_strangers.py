"""Packages of strangers, written from docs/extending.md alone: they keep the laws, and train.

Each is a folder of strangers/, as `pip install -e` would take it. A planted mistake in each is
found by the law of its table, with the sentence that says what is wrong.
"""

import csv
import importlib
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest
import runs

import fgspec as api
from fgspec import testing
from fgspec.spec import plugins

STRANGERS = Path(__file__).parent / "strangers"


def _described(package, folder):
    """The dist-info of a package, as its installation would leave it."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    named = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory):
    """The packages on the path; afterwards nothing of them is left."""
    folder, packages = tmp_path_factory.mktemp("installed"), sorted(STRANGERS.glob("fgspec-*"))
    for package in packages:
        _described(package, folder)
    path, modules = list(sys.path), set(sys.modules)
    sys.path[:0] = map(str, [folder, STRANGERS, *packages])
    plugins.forget()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(STRANGERS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    plugins.forget()


def _class(place):
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _held(folder):
    """What a tracker of `my_csv` has written: metrics by step, the last that came."""
    found = {}
    with (folder / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(int(row["step"]), {})[row["name"]] = float(row["value"])
    return found


def _keeps(law, kind, folder):
    more = {"check_source": (folder,), "check_tracker": (folder, _held)}
    getattr(testing, law)(kind, *more.get(law, ()))


@pytest.mark.parametrize(
    ("law", "place"),
    [
        ("check_objective", "hinge:Hinge"),
        ("check_estimator", "sdfa:Sdfa"),
        ("check_rule", "sdfa:SdfaRule"),
        ("check_activation", "my_tanh:MyTanh"),
        ("check_layer", "attention:Attention"),
        ("check_architecture", "vit:Vit"),
        ("check_optimizer", "lion:Lion"),
        ("check_source", "moons:Moons"),
        ("check_tracker", "my_csv:MyCsv"),
    ],
)
def test_a_stranger_keeps_the_law(law, place, tmp_path):
    _keeps(law, _class(place), tmp_path)


@pytest.mark.parametrize(
    ("law", "mistake", "sentence"),
    [
        (
            "check_objective",
            "Summed",
            r"value\(\) returns the shape \(\), must be one number per row",
        ),
        (
            "check_objective",
            "Divided",
            "the loss of a row changes by .* if the batch has more rows",
        ),
        (
            "check_objective",
            "Swapped",
            "headline error is 1 on outputs of low loss and 0 on",
        ),
        (
            "check_objective",
            "Least",
            r"predict\(\) returns .* whose loss is lowest with the labels",
        ),
        ("check_objective", "Shameless", r"hinge has no metrics\(\); add it to mistakes\."),
        ("check_estimator", "Backward", "points against its exact gradient"),
        ("check_estimator", "Silent", "never learn: their estimates stay zero"),
        ("check_rule", "Local", "needs local losses"),
        ("check_activation", "Straight", r"the derivative that apply\(\) gives differs"),
        ("check_layer", "Inward", r"mixes\(\) names patch, but the layer does not mix it"),
        ("check_layer", "Undeclared", r"mixes patch, but mixes\(\) does not name it"),
        ("check_layer", "Unbent", "is not linear in its input"),
        (
            "check_architecture",
            "Quiet",
            r"self_attention: mixes patch, but mixes\(\) does not name it",
        ),
        ("check_architecture", "Linear", r"not linear; say so in nonlinear\(\)"),
        ("check_architecture", "Grouped", "loss_axes names group, but features have one group"),
        ("check_architecture", "Sided", "architecture.patches makes patch 2 long; it is 4"),
        ("check_initialization", "Wide", r"have the deviation 0.1, deviation\(\) says 0.05"),
        ("check_initialization", "Positive", "weights of fan-in 4 have the mean .*, expected 0"),
        (
            "check_normalization",
            "Blunt",
            "its derivative differs from finite differences of its output by",
        ),
        ("check_optimizer", "Undecayed", "weight decay moves .*: False"),
        ("check_optimizer", "Rated", "at twice the learning rate"),
        ("check_optimizer", "Uphill", "against the gradient .* larger"),
        ("check_source", "Darker", "the mean is .* described as"),
        ("check_source", "Fewer", "examples are read, .* described"),
        ("check_tracker", "Closed", r"my_csv has no open\(\); add it to mistakes.Closed"),
        ("check_tracker", "Dropping", r"it holds None of step 2"),
        ("check_tracker", "Forgetful", r"it holds None of step 1"),
    ],
)
def test_a_planted_mistake_is_found(law, mistake, sentence, tmp_path):
    with pytest.raises(AssertionError, match=sentence):
        _keeps(law, _class(f"mistakes:{mistake}"), tmp_path)


SPEC = """
fgspec: 1
name: small
seed: 1
data: {batch_size: 64}
training: {steps: 6, log_every: {steps: 2}, evaluate_every: {steps: 6}}
checkpoint: {every: {steps: 2}}
architecture: {type: mlp, hidden: [12]}
"""


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {
                "losses.objective": "hinge",
                "architecture.activation": "my_tanh",
                "optimizer": "{type: lion, learning_rate: 0.003}",
                "training.trackers": "[my_csv]",
            },
            ("+ hinge", "+ lion", "my_tanh", "my_csv"),
        ),
        ({"rule": "sdfa"}, ("+ sdfa",)),
        (
            {
                "architecture": "{type: chain, patches: 2, blocks: [[{type: dense, channels: 4}], "
                "[{type: my_attention, adds: [input]}]]}"
            },
            ("+ chain",),
        ),
        (
            {
                "architecture": "{type: my_vit, blocks: 1, patches: 2, channels: 4, heads: 2, "
                "activation: relu}"
            },
            ("+ my_vit",),
        ),
        ({"data.source": "{type: moons, examples: 200}"}, ("+ moons",)),
    ],
    ids=["objective-activation-optimizer-tracker", "rule", "layer", "architecture", "source"],
)
def test_a_stranger_trains_and_goes_on(settings, named, fgspec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SPEC)
    changes = [word for path, value in settings.items() for word in ("--set", f"{path}={value}")]
    assert fgspec("check", "small.yaml", *changes)[0] == 0
    with monkeypatch.context() as stopped:
        runs.stop_after(stopped, 1)
        assert fgspec("train", "small.yaml", *changes, "--run", "run")[0] == 75
    code, _, err = fgspec("train", "--resume", "run")
    assert code == 0, err
    changed = fgspec("diff", "small.yaml", *changes)[1]
    assert all(words in changed for words in named), changed
    found = runs.final_state(Path("run"))
    assert found.step == 6
    began = api.compile(api.load("small.yaml", [f"{k}={v}" for k, v in settings.items()])).init(1)
    for name, block in found.state.params["blocks"].items():
        pairs = zip(*map(jax.tree.leaves, (block, began.params["blocks"][name])), strict=True)
        assert any(not np.array_equal(a, b) for a, b in pairs), name
    if "training.trackers" in settings:
        logged = {line["step"] for line in runs.lines(Path("run"))}
        assert logged == set(_held(Path("run")))
