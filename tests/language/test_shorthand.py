"""`augment: crop_flip` is `augment: {type: crop_flip}`, wherever it is written."""

# ruff: noqa: E501  (each message stands whole on its line)

import re
from types import MappingProxyType
from typing import get_origin

import pytest
from jsonschema import Draft202012Validator
from language.clumsy import HEAD, mistake, names, told

from fgspec.cli.schema_ import language_schema
from fgspec.loading.resolved import resolved_text
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError, dotted, flow, lookup
from fgspec.spec.augmentations import AUGMENTATIONS, Byol, CropFlip, NoAugment
from fgspec.spec.experiment import SpecFile
from fgspec.spec.kinds import names_of
from fgspec.spec.language import choices_of, sections_of
from fgspec.yaml.load import parse


def _augment(text, overrides=(), base=None, folder=None):
    (folder / "base.yaml").write_text(HEAD + f"data: {{augment: {base}}}\n")
    (folder / "a.yaml").write_text(f"extends: base.yaml\ndata: {{augment: {text}}}\n")
    return load(folder / "a.yaml", overrides).experiment.data.augment


@pytest.mark.parametrize(
    ("base", "text", "overrides", "expected"),
    [
        ("none", "crop_flip", [], CropFlip()),
        ("none", "{type: crop_flip, padding: 2}", [], CropFlip(padding=2)),
        ("{type: crop_flip, padding: 2}", "crop_flip", [], CropFlip(padding=2)),
        ("crop_flip", "{padding: 2}", [], CropFlip(padding=2)),
        ("{type: crop_flip, flip: false}", "byol", [], Byol(flip=False)),
        ("{type: crop_flip, flip: false}", "none", [], NoAugment()),
        ("none", "byol", ["data.augment.crop_area=0.5"], Byol(crop_area=0.5)),
        ("none", "byol", ["data.augment=crop_flip"], CropFlip()),
    ],
)
def test_a_name_is_a_mapping_with_that_type(base, text, overrides, expected, tmp_path):
    assert _augment(text, overrides, base, tmp_path) == expected


def test_the_resolved_spec_says_where_the_name_stood():
    text = resolved_text(loads(HEAD + "data: {augment: byol}\n"))
    (line,) = (line for line in text.splitlines() if "type: byol" in line)
    assert line.endswith("# <text>:4:8")
    assert loads(text).experiment.data.augment == Byol()


def places(model=SpecFile, at=(), around=MappingProxyType({})):
    """Every field that chooses a method: its path, the methods, and what stands around it."""
    for key, field in model.model_fields.items():
        path = (*at, key)
        for choice in choices_of(field) if get_origin(field.annotation) is not tuple else ():
            if path not in (("rule",), (*at, "type")):
                yield path, choice, around
            for kind in choice.built_in():
                yield from places(kind, path, {**around, (*path, "type"): names_of(kind)[0]})
        for section in sections_of(field.annotation):
            typed = section.model_fields.get("type")
            for choice in choices_of(typed) if typed else ():
                yield path, choice, around
            yield from places(section, path, around)


PLACES = {(path, name): around for path, choice, around in places() for name in choice.names()}


def tree_of(values):
    """Nested mappings of values by path."""
    tree = {}
    for path, value in values.items():
        inner = tree
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return tree


def outcome(values):
    """What a spec resolves to, or what is wrong with it, without places and the values there."""
    try:
        return loads(
            flow({"fgspec": 1, "name": "a", "training": {"epochs": 60}, **tree_of(values)})
        ).values()
    except SpecError as error:
        return [re.sub(r"\S+:1:\d+| \((got|is) .*", "", line) for line in error.lines]


@pytest.mark.parametrize(
    ("path", "name"), PLACES, ids=lambda part: part if isinstance(part, str) else dotted(part)
)
def test_a_name_alone_is_its_mapping_wherever_a_method_stands(path, name):
    around = PLACES[path, name]
    assert outcome({**around, path: name}) == outcome({**around, path: {"type": name}})


def test_methods_are_chosen_in_many_places():
    found = {dotted(path) for path, _ in PLACES}
    named = "architecture architecture.normalization data.augment data.source optimizer.schedule "
    named += "gradient.estimator gradient.perturbation.guess losses.local.head losses.objective "
    assert {*named.split(), "optimizer"} <= found


NAMES_ALONE = """
data: {source: digits}
architecture: {type: mlp, hidden: [8], normalization: layer_norm}
optimizer: adam
losses: {local: {head: mlp}}
gradient:
  target: sum
  estimator: forward
  perturbation: {guess: normal, projection: squared_norm}
"""


def test_a_spec_of_names_alone_is_the_one_spelled_out():
    spelled = re.sub(
        r"(source|normalization|optimizer|head|estimator|guess|projection): (\w+)",
        r"\1: {type: \2}",
        NAMES_ALONE,
    )
    assert spelled.count("{type: ") == 8
    assert loads(HEAD + NAMES_ALONE).values() == loads(HEAD + spelled).values()


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("optimizer.beta1=0.5", ("optimizer", "beta1"), 0.5),
        ("losses.local.head.width=5", ("losses", "local", "head", "width"), 5),
        (
            "architecture.normalization.epsilon=0.5",
            ("architecture", "normalization", "epsilon"),
            0.5,
        ),
        (
            "gradient.perturbation.guess.set=independent",
            ("gradient", "perturbation", "guess", "set"),
            "independent",
        ),
        (
            "gradient.perturbation.projection.grouping=block",
            ("gradient", "perturbation", "projection", "grouping"),
            "block",
        ),
        ("optimizer.schedule=linear", ("optimizer", "schedule", "type"), "linear"),
        ("data.source=mnist", ("data", "source", "type"), "mnist"),
    ],
)
def test_settings_and_bases_act_on_what_a_name_stands_for(setting, path, value, tmp_path):
    base, top = tmp_path / "base.yaml", tmp_path / "top.yaml"
    base.write_text(HEAD + NAMES_ALONE)
    top.write_text(
        "extends: base.yaml\n"
        + flow(tree_of({tuple(setting.split("=")[0].split(".")): value}))[1:-1]
        + "\n"
    )
    found = load(base, [setting])
    assert lookup(found.values(), path) == value
    assert load(top).values() == found.values()


def test_a_list_takes_names():
    text = HEAD.replace("{epochs: 2}", "{epochs: 2, trackers: [csv]}")
    (tracker,) = loads(text).experiment.training.trackers
    assert tracker.type == "csv"
    blocks = loads(
        HEAD + "architecture: {type: chain, blocks: [[dense, {type: max_pool}]]}\n"
    ).experiment
    assert blocks.architecture.blocks[0][0].type == "dense"


def test_editors_accept_both():
    field = language_schema()["$defs"]["Data"]["properties"]["augment"]
    names = {"type": "string", "enum": list(AUGMENTATIONS.names())}
    assert names.items() <= field["anyOf"][-1].items()
    schema = Draft202012Validator(language_schema())
    for spelled in (HEAD + NAMES_ALONE, HEAD + "data: {augment: {type: byol}}\n"):
        assert schema.is_valid(parse(spelled, "a.yaml").value)


MISTAKES = {
    "a misspelled name": mistake(
        "data: {augment: crop_filp}\n",
        f"a.yaml:4:17: data.augment.type: must be one of {names(AUGMENTATIONS)}; did you mean crop_flip? (got crop_filp)",
    ),
    "a number": mistake(
        "data: {augment: 4}\n",
        "a.yaml:4:17: data.augment: must be a mapping of keys to values (got 4)",
    ),
    "an option of another type": mistake(
        "data: {augment: {type: crop_flip, crop_area: 0.5}}\n",
        "a.yaml:4:35: data.augment.crop_area: unknown key of crop_flip; known: type, padding, flip",
    ),
    "a crop of nothing": mistake(
        "data: {augment: {type: byol, crop_area: 0}}\n",
        "a.yaml:4:41: data.augment.crop_area: must be > 0 (got 0)",
    ),
    "an option of nothing by --set": mistake(
        "architecture: {type: mlp}\n",
        "--set: data.augment.padding: unknown key of none; known: type",
        sets=["data.augment=none", "data.augment.padding=2"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
