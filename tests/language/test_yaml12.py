"""YAML 1.2 scalars, places of keys and values, aliases, and files."""

import math
import os
import pickle

import pytest
from language.yaml_texts import RESOLVED, same

from fgspec.yaml.load import Mark, YamlError, parse, read, scalar


@pytest.mark.parametrize(("text", "value"), RESOLVED.items())
def test_scalars_follow_the_core_schema(text, value):
    in_document = parse(f"a: {text}\n", "f").value["a"] if text != "-" else "-"
    assert same(in_document, value)
    assert same(scalar(text) if text != "-" else "-", value)


def test_nan_is_a_float():
    assert math.isnan(scalar(".nan"))


def test_an_empty_value_is_null():
    assert parse("a:\nb: [~, ]\n", "f").value == {"a": None, "b": [None]}
    assert scalar("  \n") is None


def test_places_of_keys_items_and_values():
    document = parse("a:\n  - 1\n  - {b: x}\n'c' : \"y\"\n", "f")
    assert document.value == {"a": [1, {"b": "x"}], "c": "y"}
    assert {path: str(mark) for path, mark in document.keys.items()} == {
        ("a",): "f:1:1",
        ("a", 0): "f:2:5",
        ("a", 1): "f:3:5",
        ("a", 1, "b"): "f:3:6",
        ("c",): "f:4:1",
    }
    assert {path: str(mark) for path, mark in document.values.items()} == {
        (): "f:1:1",
        ("a",): "f:2:3",
        ("a", 0): "f:2:5",
        ("a", 1): "f:3:5",
        ("a", 1, "b"): "f:3:9",
        ("c",): "f:4:7",
    }


def test_an_alias_is_a_copy_placed_at_its_use():
    document = parse("a: &x {b: [1]}\nc: *x\nd: [*x]\n", "f")
    value = document.value
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}]}
    assert value["a"] is not value["c"]
    assert value["a"]["b"] is not value["c"]["b"]
    assert document.values[("c",)] == Mark("f", 2, 4)
    assert document.keys[("d", 0)] == document.values[("d", 0)] == Mark("f", 3, 5)
    assert document.keys[("c", "b")] == document.keys[("a", "b")] == Mark("f", 1, 8)
    assert document.values[("d", 0, "b", 0)] == Mark("f", 1, 12)


def test_an_anchor_named_again_means_its_latest_value():
    assert parse("a: &x 1\nb: &x 2\nc: *x\n", "f").value["c"] == 2


def test_line_ends_and_a_byte_order_mark_do_not_matter():
    for text in ("\ufeffa: 1\nb: 2", "a: 1\r\nb: 2\r\n", "a: 1\rb: 2"):
        document = parse(text, "f")
        assert document.value == {"a": 1, "b": 2}
        assert document.keys[("b",)] == Mark("f", 2, 1)
    assert parse("\ufeffa: 1", "f").keys[("a",)] == Mark("f", 1, 1)


def test_escaped_control_characters_are_text():
    assert scalar('"\\0\\e\\u2028"') == "\0\x1b\u2028"


def test_read_reads_a_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\r\n")
    assert read(file).value == {"a": "é"}
    assert read(file).keys[("a",)] == Mark(str(file), 1, 1)


def test_read_refuses_what_is_no_utf8_file(tmp_path):
    def refused(path):
        with pytest.raises(YamlError) as caught:
            read(path)
        place, _, problem = str(caught.value).partition(f"{path}:")
        assert place == ""
        return problem

    file = tmp_path / "a.yaml"
    check = "expected a YAML file: check the path"
    assert refused(file) == f"1:1: There is no such file; {check}"
    assert refused(tmp_path) == (
        "1:1: This is a directory; expected a YAML file: name a file in it"
    )
    file.write_bytes(b"a: 1\n# \xc3\xa9\xff\n")
    assert refused(file) == (
        "2:4: The byte 0xFF is not UTF-8; expected UTF-8 text: save the file as UTF-8"
    )
    file.write_bytes(b"a: 1 #" + b"x" * 1024 * 1024)
    assert refused(file) == (
        "1:1: The text is larger than 1 MiB; expected a spec of a few kilobytes: check the file"
    )
    nul = type(file)(str(file) + "\0")
    with pytest.raises(YamlError, match=r":1:1: The file cannot be read \(.*embedded null"):
        read(nul)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert refused(loop) == (
        f"1:1: The file cannot be read ({os.strerror(40)}); expected a readable YAML file: check it"
    )


def test_an_error_survives_pickling():
    error = YamlError(Mark("f", 2, 3), "wrong")
    assert str(pickle.loads(pickle.dumps(error))) == "f:2:3: wrong"
