"""YAML 1.2 scalars, places, bounds and one clear line for everything that is refused."""

import json
import math
import os
import pickle
import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fgspec.yaml12 import Mark, YamlError, parse, read, scalar

RESOLVED = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "nULL": "nULL",
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "tRue": "tRue",
    "no": "no",
    "off": "off",
    "on": "on",
    "yes": "yes",
    "y": "y",
    "0": 0,
    "-0": 0,
    "12": 12,
    "+12": 12,
    "-12": -12,
    "0o17": 15,
    "0x1F": 31,
    "0xff": 255,
    "-0x1F": "-0x1F",
    "0o8": "0o8",
    "0b11": "0b11",
    "18446744073709551615": 2**64 - 1,
    "١٢": "١٢",
    "12:30:00": "12:30:00",
    "2024-01-31": "2024-01-31",
    "1e-3": 1e-3,
    "1E3": 1000.0,
    "1.": 1.0,
    ".5": 0.5,
    "-.5e2": -50.0,
    "+1.25": 1.25,
    "00.5": 0.5,
    ".": ".",
    "1.2.3": "1.2.3",
    "1e": "1e",
    "e3": "e3",
    "-": "-",
    ".inf": math.inf,
    "-.INF": -math.inf,
    "+.Inf": math.inf,
    "inf": "inf",
    "nan": "nan",
    "1 000": "1 000",
    "a_1": "a_1",
    "=": "=",
    "'12'": "12",
    '"true"': "true",
    "'null'": "null",
    '""': "",
    "'1_000'": "1_000",
    "'0123'": "0123",
    "! 12": "12",
    "!!str 12": "12",
    "!!int 12": 12,
    "!!float 1": 1.0,
    "!!bool true": True,
    "!!null ~": None,
    "!!seq [1]": [1],
    "!!map {a: 1}": {"a": 1},
    "! [1]": [1],
    '"\\U0001F600"': "😀",
    '"\\ud83d\\ude00"': "😀",
    "[patch, group]": ["patch", "group"],
    "{type: linear}": {"type": "linear"},
    "{a: [1, {b: no}]}": {"a": [1, {"b": "no"}]},
}


def same(a, b):
    """Tell whether two plain values are equal, types included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def refusal(text, read_text=parse):
    """Return the one line that refuses the text."""
    with pytest.raises(YamlError) as caught:
        read_text(text, "f") if read_text is parse else read_text(text)
    line = str(caught.value)
    assert line == f"{caught.value.mark}: {caught.value.problem}"
    assert line.isprintable()
    return line


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


REFUSED = {
    # Scalars
    "a: 0123": "f:1:4: '0123' starts with a zero, which some readers take for octal; expected an "
    "integer without it: write 123, or quote it if it is text",
    "a: -007": "f:1:4: '-007' starts with a zero, which some readers take for octal; expected an "
    "integer without it: write -7, or quote it if it is text",
    "a: 1_000": "f:1:4: '1_000' is no number in YAML 1.2; expected digits without '_': write 1000, "
    "or quote it if it is text",
    "a: 1_0.5e3": "f:1:4: '1_0.5e3' is no number in YAML 1.2; expected digits without '_': write "
    "10.5e3, or quote it if it is text",
    f"a: {'9' * 41}": f"f:1:4: '{'9' * 41}' is too long; expected an integer of at most 40 "
    "characters: write fewer digits, or quote it if it is text",
    'a: "\\ud800"': "f:1:4: '\\ud800' has half a character; expected a whole one: write it as "
    "itself, or as \\U and 8 digits",
    'a: "\\UFFFFFFFF"': "f:1:7: A number here is out of range; expected an escape up to "
    "\\U0010ffff: mend it",
    # Keys
    "a: 1\nb: 2\na: 3": "f:3:1: The key 'a' stands here again, first at f:1:1; expected each key "
    "once: remove one of them",
    "1: x": "f:1:1: The key '1' is an integer; expected a string: write a name, or quote the key",
    "true: x": "f:1:1: The key 'true' is a boolean; expected a string: write a name, or quote the "
    "key",
    "~: x": "f:1:1: The key '~' is null; expected a string: write a name, or quote the key",
    "? [a]\n: x": "f:1:3: The key is a list; expected a string: write a name, or quote the key",
    "a: &x {b: 1}\nc:\n  <<: *x": "f:3:3: The merge key '<<' is not in YAML 1.2; expected a plain "
    "key: use 'extends:', or an anchor on a whole value",
    # Tags
    "a: !!python/name:os.system ''": "f:1:4: The tag '!!python/name:os.system' is not in YAML's "
    "core schema; expected a plain value: remove the tag",
    "a: !foo 1": "f:1:4: The tag '!foo' is not in YAML's core schema; expected a plain value: "
    "remove the tag",
    "a: !!int x": "f:1:4: The tag !!int stands before a string; expected an integer: remove the "
    "tag",
    "a: !!seq {}": "f:1:4: The tag !!seq stands before a mapping; expected a list: remove the tag",
    # Documents
    "a: 1\n---\nb: 2": "f:2:1: A second document starts here; expected one: move it to a file of "
    "its own",
    "": "f:1:1: The document is empty; expected at least one value: write it",
    "# only this\n": "f:2:1: The document is empty; expected at least one value: write it",
    "---\n": "f:2:1: The document is empty; expected at least one value: write it",
    "hello": "f:1:1: The document is a string; expected a mapping: write 'key: value' lines",
    "- a": "f:1:1: The document is a list; expected a mapping: write 'key: value' lines",
    "~": "f:1:1: The document is null; expected a mapping: write 'key: value' lines",
    # Aliases
    "a: *x": "f:1:4: '*x' has no anchor; expected '&x' before an earlier value: add it, or quote "
    "the alias if it is text",
    "a: &x [*x]": "f:1:8: '*x' stands inside the value it names; expected a value that ended "
    "before it: remove the alias",
    # Characters
    "a: b\x00": "f:1:5: The character U+0000 cannot stand here; expected visible text: remove it, "
    "or write its escape in double quotes",
    "a: 1\r\nb: \x1b": "f:2:4: The character U+001B cannot stand here; expected visible text: "
    "remove it, or write its escape in double quotes",
    "a: x\u2028y": "f:1:5: The character U+2028 cannot stand here; expected visible text: remove "
    "it, or write its escape in double quotes",
    "a: \ud800": "f:1:4: The character U+D800 cannot stand here; expected visible text: remove it, "
    "or write its escape in double quotes",
    "a: 1\n\ufeffb: 1": "f:2:1: The character U+FEFF cannot stand here; expected visible text: "
    "remove it, or write its escape in double quotes",
    # Syntax
    "a:\n\tb: 1": "f:2:1: '\\tb: 1' has a tab here; expected spaces: replace the tab by spaces",
    "a: b: c": "f:1:5: 'a: b: c' has a ':' where no key can stand; expected one 'key: value' a "
    "line: mend the indentation, or quote a value that contains ': '",
    "a: 1\nb\nc: 2": "f:2:1: 'b' has no ':' after its key; expected 'key: value': add the colon, "
    "or indent the line if it continues a value",
    "a:\n   b: 1\n  c: 2": "f:3:3: 'c: 2' does not continue the lines above it; expected their "
    "indentation, and '- ' before each item of a list: align it",
    "a: 'it's'": 'f:1:8: "s\'" follows a value that is already complete; expected the end of the '
    "line: remove it, or quote the whole value",
    "{a: 1}}": "f:1:7: '}' follows a value that is already complete; expected the end of the "
    "line: remove it, or quote the whole value",
    "a: - b": "f:1:4: 'a: - b' has a '- ' where no list can start; expected each item on its own "
    "line: start a new line, or write [a, b]",
    "a: [1, 2\n": "f:1:4: '[1, 2' is not closed before the text ends; expected its closing quote "
    "or bracket: add it",
    "a: 'x\n": 'f:1:4: "\'x" is not closed before the text ends; expected its closing quote or '
    "bracket: add it",
    "a: {b: 1 c: 2}": "f:1:11: ': 2}' stands where a list or mapping in brackets goes on; "
    "expected ',' or its closing bracket: add it",
    'a: \'\\n\nb: "\\q"': 'f:1:4: "\'\\\\n" is not closed before the text ends; expected its '
    "closing quote or bracket: add it",
    'a: "\\q"': "f:1:6: 'a: \"\\\\q\"' has an unknown backslash escape; expected one such as \\n "
    "or \\u00e9: use single quotes, or write \\\\ for a backslash",
    "a: @x": "f:1:4: '@x' cannot start a value; expected plain text, a quote or an opening "
    "bracket: quote the value, or add the missing one",
    "a: | x": "f:1:6: 'a: | x' is not YAML here (expected a comment or a line break, but found "
    "'x'); expected 'key: value': mend or quote the value",
}


@pytest.mark.parametrize(("text", "line"), REFUSED.items())
def test_refusals_are_one_line_with_place_and_remedy(text, line):
    assert refusal(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    {
        "[a": "--set:1:1: '[a' is not closed before the text ends; expected its closing quote or "
        "bracket: add it",
        "1_000": "--set:1:1: '1_000' is no number in YAML 1.2; expected digits without '_': write "
        "1000, or quote it if it is text",
        "a: b": "--set:1:1: 'a: b' is in block style; expected one value on one line: write "
        "[a, b] or {a: 1}, or quote text",
        "- a": "--set:1:1: '- a' is in block style; expected one value on one line: write [a, b] "
        "or {a: 1}, or quote text",
        "|\n a": "--set:1:1: '|\\n a' is in block style; expected one value on one line: write "
        "[a, b] or {a: 1}, or quote text",
        "# a": "--set:1:4: The document is empty; expected at least one value: write it",
    }.items(),
)
def test_set_values_are_refused_alike(text, line):
    assert refusal(text, scalar) == line


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


def test_depth_is_bounded_before_composing():
    problem = "lists and mappings deep; expected at most 64: nest less"
    assert parse(f"a: {'[' * 63}{']' * 63}", "f").value
    assert refusal(f"a: {'[' * 64}{']' * 64}") == f"f:1:67: This value reaches 65 {problem}"
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000):
        assert refusal(text).endswith(problem)


def test_depth_is_bounded_through_aliases():
    chain = "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 80))
    assert refusal(f"a0: &a0 [1]\n{chain}") == (
        "f:64:12: This value reaches 65 lists and mappings deep; expected at most 64: nest less"
    )


NODES = (
    "The document has more than 10000 keys and values once its aliases are expanded; expected at "
    "most 10000: use fewer aliases or items"
)


def test_nodes_are_bounded():
    assert len(parse(f"a: [{'1,' * 9_997}]", "f").value["a"]) == 9_997
    assert refusal(f"a: [{'1,' * 9_998}]") == f"f:1:{5 + 2 * 9_997}: {NODES}"


def test_aliases_are_counted_before_they_are_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 40):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    start = time.perf_counter()
    assert refusal("\n".join(lines)).endswith(NODES)
    assert time.perf_counter() - start < 5


def test_size_is_bounded():
    problem = "The text is larger than 1 MiB; expected a spec of a few kilobytes: check the file"
    assert parse("a: 1 #" + "x" * (1024 * 1024 - 6), "f").value == {"a": 1}
    assert refusal("a: 1 #" + "x" * (1024 * 1024 - 5)) == f"f:1:1: {problem}"
    assert refusal("a: " + "é" * 600_000) == f"f:1:1: {problem}"


def test_read_reads_a_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\r\n")
    assert read(file).value == {"a": "é"}
    assert read(file).keys[("a",)] == Mark(str(file), 1, 1)
    assert read(file, "shown").keys[("a",)] == Mark("shown", 1, 1)


def test_read_refuses_what_is_no_utf8_file(tmp_path):
    def refused(path):
        with pytest.raises(YamlError) as caught:
            read(path, "s")
        return str(caught.value)

    file = tmp_path / "a.yaml"
    check = "expected a YAML file: check the path"
    assert refused(file) == f"s:1:1: There is no such file; {check}"
    assert refused(tmp_path) == (
        "s:1:1: This is a directory; expected a YAML file: name a file in it"
    )
    file.write_bytes(b"a: 1\n# \xc3\xa9\xff\n")
    assert refused(file) == (
        "s:2:4: The byte 0xFF is not UTF-8; expected UTF-8 text: save the file as UTF-8"
    )
    file.write_bytes(b"a: 1 #" + b"x" * 1024 * 1024)
    assert refused(file) == (
        "s:1:1: The text is larger than 1 MiB; expected a spec of a few kilobytes: check the file"
    )
    nul = type(file)(str(file) + "\0")
    assert refused(nul).startswith("s:1:1: The file cannot be read (embedded null byte")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert refused(loop) == (
        f"s:1:1: The file cannot be read ({os.strerror(40)}); expected a readable YAML file: "
        "check it"
    )


def test_an_error_survives_pickling():
    error = YamlError(Mark("f", 2, 3), "wrong")
    assert str(pickle.loads(pickle.dumps(error))) == "f:2:3: wrong"


def lookup(value, path):
    for step in path:
        value = value[step]
    return value


def outcome(read_text):
    """Return what a text reads as, or the YamlError that refuses it."""
    try:
        return read_text()
    except YamlError as error:
        return error


def check_only_yaml_errors(text):
    document, value = outcome(lambda: parse(text, "f")), outcome(lambda: scalar(text))
    for result in (document, value):
        if isinstance(result, YamlError):
            assert str(result).isprintable()
            assert min(result.mark.line, result.mark.column) >= 1
    if not isinstance(document, YamlError):
        assert set(document.values) == {(), *document.keys}
        for path in document.values:
            lookup(document.value, path)
        json.dumps(document.value, ensure_ascii=False).encode()


TOKENS = [*"[]{},:?-&*!|>'\"%@`#~.=<\\\t\n\r _0189ae\x00\x85\ufeffé\ud800"]
TOKENS += [": ", "- ", "? ", "\n  ", "\n ", "\n- ", "\na: ", "a: ", "&x ", "*x", "<<: ", " #", "''"]
TOKENS += [
    "---\n",
    "\n...\n",
    "!!int ",
    "!!str ",
    "!!map ",
    "!<",
    "!e!x ",
    "0x",
    "0o",
    "1e",
    "|2-\n",
]
TOKENS += [
    "%YAML 1.2\n",
    "%TAG ! tag:x,2000:\n",
    '"\\u',
    '"\\U',
    "d800",
    "FFFFFFFF",
    '"',
    "true",
    "1_0",
]


@settings(max_examples=300, deadline=None)
@given(st.text())
@example("a: !<%ff> 1")
@example(f"%YAML 1.{'9' * 5000}\n---\na: 1")
def test_random_text_raises_only_yaml_errors(text):
    check_only_yaml_errors(text)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
def test_random_tokens_raise_only_yaml_errors(text):
    check_only_yaml_errors(text)


# Strings that look like other things, and any string that can be encoded.
TEXTS = st.sampled_from(
    [*RESOLVED, "0123", "1_000", "<<", "- a", "a: b", "# c", "&x", "*x", "!t", "\0", "\ufeff", "|"]
)
TEXTS |= st.text(st.characters(exclude_categories=["Cs"]))
TEXTS |= st.from_regex(r"[-+]?[0-9_.]{0,6}([eE][-+]?[0-9]{0,2})?", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats() | TEXTS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def dump(value, **style):
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, **style)


class Dumper(yaml.SafeDumper):
    """Dumps every string in double quotes and nothing as an alias."""

    def ignore_aliases(self, data):
        return True


Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXTS, TREES, max_size=4), st.booleans())
def test_dumped_data_is_read_back(tree, flow):
    read_back = parse(dump(tree, default_flow_style=flow, allow_unicode=False), "f").value
    assert same(read_back, tree)


# YAML wants the ':' of a key on one line within 1,024 characters; JSON escapes to at most 12 each.
KEYS = TEXTS.map(lambda text: text[:80])
FINITE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(FINITE)
def test_json_is_yaml(tree):
    assert same(scalar(json.dumps(tree)), tree)
