"""Any text reads as a value or is refused in one line, and what is dumped is read back."""

import json

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from language.yaml_texts import RESOLVED, same

from fgspec.yaml.load import YamlError, parse, scalar


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
