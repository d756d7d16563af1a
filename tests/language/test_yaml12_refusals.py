"""Bounds, and one clear line for everything that is refused."""

import time

import pytest
from language.yaml_texts import refusal

from fgspec.yaml.load import parse, scalar

REFUSED = {
    # Scalars
    "a: 0123": "f:1:4: '0123' starts with a zero, which some programs read as octal; expected an "
    "integer without it: write 123, or quote it if it is text",
    "a: -007": "f:1:4: '-007' starts with a zero, which some programs read as octal; expected an "
    "integer without it: write -7, or quote it if it is text",
    "a: 1_000": "f:1:4: '1_000' is not a number in YAML 1.2; expected digits without '_': write "
    "1000, or quote it if it is text",
    "a: 1_0.5e3": "f:1:4: '1_0.5e3' is not a number in YAML 1.2; expected digits without '_': "
    "write 10.5e3, or quote it if it is text",
    f"a: {'9' * 41}": f"f:1:4: '{'9' * 41}' is too long; expected an integer of at most 40 "
    "characters: write fewer digits, or quote it if it is text",
    'a: "\\ud800"': "f:1:4: '\\ud800' has half a character; expected a whole one: write it as "
    "itself, or as \\U and 8 digits",
    'a: "\\UFFFFFFFF"': "f:1:7: A number here is out of range; expected an escape up to "
    "\\U0010ffff: correct it",
    # A comma for a decimal point
    **{
        f"a: {before}{number}{after}": f"f:1:{place}: '{number}' is two values here, because a "
        f"comma separates values; expected a decimal point: write {number.replace(',', '.')}"
        for before, number, after, place in (
            ("{b: ", "0,05", "}", 8),
            ("{b: ", "0,5", "}", 8),
            ("{b: ", "-12,5", ", c: 1}", 8),
            ("[1, ", "0,05", "]", 8),
            ("[", "3,007", "]", 5),
        )
    },
    "a: [0, 05]": "f:1:8: '05' starts with a zero, which some programs read as octal; expected an "
    "integer without it: write 5, or quote it if it is text",
    # Keys
    "a: 1\nb: 2\na: 3": "f:3:1: The key 'a' is here a second time, first at f:1:1; expected each "
    "key once: remove one of them",
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
    "line: correct the indentation, or quote a value that contains ': '",
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
    "a: {b: 1 c: 2}": "f:1:11: ': 2}' cannot stand inside a list or mapping in brackets; "
    "expected ',' or its closing bracket: add it",
    'a: \'\\n\nb: "\\q"': 'f:1:4: "\'\\\\n" is not closed before the text ends; expected its '
    "closing quote or bracket: add it",
    'a: "\\q"': "f:1:6: 'a: \"\\\\q\"' has an unknown backslash escape; expected one such as \\n "
    "or \\u00e9: use single quotes, or write \\\\ for a backslash",
    "a: @x": "f:1:4: '@x' cannot start a value; expected plain text, a quote or an opening "
    "bracket: quote the value, or add the missing one",
    "a: | x": "f:1:6: 'a: | x' is not YAML here (expected a comment or a line break, but found "
    "'x'); expected 'key: value': correct or quote the value",
}


@pytest.mark.parametrize(("text", "line"), REFUSED.items())
def test_refusals_are_one_line_with_place_and_remedy(text, line):
    assert refusal(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    {
        "[a": "--set:1:1: '[a' is not closed before the text ends; expected its closing quote or "
        "bracket: add it",
        "1_000": "--set:1:1: '1_000' is not a number in YAML 1.2; expected digits without '_': "
        "write 1000, or quote it if it is text",
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
