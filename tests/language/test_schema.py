"""The JSON Schema that editors read: accepts every spec, describes every property."""

import json
import re

import pytest
from language.test_source import ROOT, name_of
from spec_files import SWEEPS

from fgspec.cli.schema_ import language_schema
from fgspec.yaml12 import read

SCHEMA = language_schema()
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
    "const": lambda value, bound: value == bound,
    "enum": lambda value, bound: value in bound,
}
SAYS_NOTHING = {"title", "description", "default", "$defs", "$schema"}


def is_kind(value, kind):
    if kind in ("integer", "number"):
        kinds = int if kind == "integer" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def accepts(schema, value):
    """Whether a value fits a schema, for those keywords that the language's schema uses."""
    if "type" in schema and not is_kind(value, schema["type"]):
        return False
    return all(fits(keyword, bound, value, schema) for keyword, bound in schema.items())


def fits(keyword, bound, value, schema):
    if keyword in SAYS_NOTHING or keyword in ("type", "additionalProperties"):
        return True
    if keyword in BOUNDS:
        return BOUNDS[keyword](value, bound)
    if keyword == "$ref":
        return accepts(SCHEMA["$defs"][bound.removeprefix("#/$defs/")], value)
    if keyword == "anyOf":
        return any(accepts(one, value) for one in bound)
    if keyword == "required":
        return value.keys() >= set(bound)
    if keyword == "properties":
        closed = schema["additionalProperties"] is False
        return (closed and value.keys() <= bound.keys()) and all(
            accepts(bound[key], item) for key, item in value.items()
        )
    if keyword == "items":
        return all(accepts(bound, item) for item in value)
    if keyword == "prefixItems":
        return all(accepts(one, item) for one, item in zip(bound, value, strict=False))
    raise AssertionError(f"a keyword that this test does not know: {keyword}")


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


def sections():
    return {"the file": SCHEMA} | SCHEMA["$defs"]


@pytest.mark.parametrize("name", sections())
def test_every_property_is_described(name):
    section = sections()[name]
    assert section["description"]
    assert section["additionalProperties"] is False
    bare = [key for key, field in section["properties"].items() if not field.get("description")]
    assert bare == []


def test_the_schema_is_plain_json():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
