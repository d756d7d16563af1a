"""`augment: crop_flip` is `augment: {type: crop_flip}`, wherever it is written."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import HEAD, mistake, told

from fgspec.cli.schema_ import language_schema
from fgspec.loading.resolved import resolved_text
from fgspec.loading.spec_file import load, loads
from fgspec.spec.augmentations import Byol, CropFlip, NoAugment


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


def test_editors_accept_both():
    field = language_schema()["$defs"]["Data"]["properties"]["augment"]
    assert field["anyOf"][-1] == {"type": "string", "enum": ["none", "crop_flip", "byol"]}


MISTAKES = {
    "a misspelled name": mistake(
        "data: {augment: crop_filp}\n",
        "a.yaml:4:17: data.augment.type: must be one of none, crop_flip, byol; did you mean crop_flip? (got crop_filp)",
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
