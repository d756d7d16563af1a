"""Texts of YAML, what they read as, and what is said of those that are refused."""

import math

import pytest

from fgspec.yaml.load import YamlError, parse

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
