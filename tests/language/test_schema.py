"""The JSON Schema that editors read: accepts every spec, describes every property."""

import json

import pytest
from jsonschema import Draft202012Validator
from language.test_source import ROOT, name_of
from spec_files import SWEEPS

from fgspec.cli.schema_ import language_schema, sweep_schema
from fgspec.yaml.load import read

SCHEMA = language_schema()
SWEEP = sweep_schema()


def accepts(schema, value):
    return Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("schema", [SCHEMA, SWEEP], ids=["spec", "sweep"])
def test_the_schema_is_one(schema):
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", sorted({*ROOT.glob("specs/**/*.yaml")} - {*SWEEPS}), ids=name_of)
def test_every_file_is_accepted_as_it_stands(path):
    assert accepts(SCHEMA, read(path).value)


@pytest.mark.parametrize(
    "change",
    [
        {"sede": 1},
        {"seed": -1},
        {"seed": "1"},
        {"name": "a b"},
        {"rule": "backprop"},
        {"fgspec": 2},
        {"optimizer": {"type": "sgd", "beta1": 0.5}},
        {"optimizer": {"type": "adam", "beta1": 1}},
        {"architecture": {"type": "mlp", "hidden": []}},
        {"mesh": {"data": 0}},
        {"training": {"epochs": 1.5}},
    ],
    ids=str,
)
def test_mistakes_are_refused(change):
    assert not accepts(SCHEMA, {"fgspec": 1, "name": "a", "training": {"epochs": 1}} | change)


SWEEP_FILE = {
    "fgspec": 1,
    "name": "s",
    "base": "a.yaml",
    "set": {"training.epochs": 3, "data.augment": "byol"},
    "arms": {"big": {"architecture": {"type": "mlp", "hidden": [8]}}, "small": {}},
    "grid": {"optimizer.learning_rate": [0.1, 0.2]},
    "zip": {"rule": ["bp", "fa"], "optimizer": [{"type": "adam"}, {"type": "sgd"}]},
    "random": {"count": 3, "fields": {"training.steps": {"low": 1, "high": 9}}},
    "seeds": [0, 1],
}


@pytest.mark.parametrize("path", SWEEPS, ids=name_of)
def test_every_sweep_is_accepted_as_it_stands(path):
    assert accepts(SWEEP, read(path).value)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"base": ["a.yaml", "b.yaml"]},
        {"grid": {"architecture.hidden": [[8], [8, 8]]}},
        {"random": None},
    ],
    ids=str,
)
def test_a_sweep_of_everything_is_accepted(change):
    assert accepts(SWEEP, SWEEP_FILE | change)


@pytest.mark.parametrize(
    "change",
    [
        {"base": 3},
        {"seed": 0},
        {"seeds": [-1]},
        {"set": {"training.epoch": 3}},
        {"set": {"seed": 3}},
        {"set": {"optimizer.learning_rate": "big"}},
        {"arms": {"a b": {}}},
        {"arms": {"a": {"optimizer.learning_rat": 0.1}}},
        {"grid": {"optimizer.learning_rate": 0.1}},
        {"grid": {"optimizer.learning_rate": []}},
        {"grid": {"rule": ["backprop"]}},
        {"zip": {"name": ["a"]}},
        {"random": {"count": 3, "fields": {}}},
        {"random": {"count": 3, "fields": {"training.step": {"low": 1, "high": 9}}}},
    ],
    ids=str,
)
def test_mistakes_in_sweeps_are_refused(change):
    assert not accepts(SWEEP, SWEEP_FILE | change)


def test_a_sweep_sets_every_field_that_a_spec_has():
    assert {"optimizer.momentum", "data.source.path", "losses.local.head.width"} < {
        *SWEEP["$defs"]["Settings"]["properties"]
    }


def sections():
    return {"the file": SCHEMA} | SCHEMA["$defs"]


@pytest.mark.parametrize("name", sections())
def test_every_property_is_described(name):
    section = sections()[name]
    assert section["description"]
    assert section["additionalProperties"] is False
    bare = [key for key, field in section["properties"].items() if not field.get("description")]
    assert bare == []


def _parts(schema):
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from _parts(part)


@pytest.mark.parametrize("schema", [SCHEMA, SWEEP], ids=["spec", "sweep"])
def test_every_value_of_an_enum_is_described(schema):
    """In both forms that editors know."""
    for part in _parts(schema):
        if isinstance(part.get("enum"), list):
            for form in ("enumDescriptions", "markdownEnumDescriptions"):
                assert len(part[form]) == len(part["enum"])
                assert all(part[form]), part


@pytest.mark.parametrize("name", sections())
def test_examples_are_values_of_their_fields(name):
    for key, field in sections()[name]["properties"].items():
        for example in field.get("examples", ()):
            assert accepts({**field, "$defs": SCHEMA["$defs"]}, example), (key, example)


def test_descriptions_have_a_plain_form_and_one_in_markdown():
    path = SCHEMA["$defs"]["Npz"]["properties"]["path"]
    assert "Required." in path["description"]
    assert "`" not in path["description"]
    assert "`$FGSPEC_DATA`" in path["markdownDescription"]
    assert "Required" in SCHEMA["properties"]["training"]["description"]


def test_the_schema_is_plain_json(fgspec, tmp_path):
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    code, out, _ = fgspec("schema", "--sweep", "--out", tmp_path / "s.json")
    assert (code, out.splitlines()[-1]) == (0, "# yaml-language-server: $schema=s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == SWEEP
