"""Whatever is wrong with a spec, it is told in lines with a place, and nothing else is raised."""

import copy
import math
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from language.clumsy import refuse

from fgspec.errors import DataError
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError, flow
from fgspec.spec.experiment import Experiment
from fgspec.spec.rules import RULES

SPECS = Path(__file__).parents[2] / "specs"
QUICKSTART = SPECS / "quickstart.yaml"
CHAIN = "[[{type: conv, channels: 4}, {type: max_pool}], [{type: full, adds: []}]]"
BASES = [dict(load(SPECS / name).tree) for name in ("quickstart.yaml", "quickstart/bp.yaml")]
BASES += [load(QUICKSTART, ["rule=lg-fg-w"]).values()]
BASES += [dict(load(QUICKSTART, ["architecture={type: mlp, hidden: [8, 8]}"]).tree)]
BASES += [dict(load(QUICKSTART, [f"architecture={{type: chain, blocks: {CHAIN}}}"]).tree)]
PLACED = re.compile(r"(<text>:\d+:\d+: |--set: )[^\n]+")

WORDS = [
    *Experiment.model_fields,
    *RULES.names(),
    "type",
    "extends",
    "rule",
    "none",
    "mlp",
    "sgd",
    "npz",
]
WORDS += ["local", "epochs", "steps", "groups", "hidden", "1e-3", "0", "no", "", "a.b", "é", "\x7f"]
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from([0, -1, 1, 2, 7, 10**9, 10**38, 2**31, 1.5, 1e300, -0.0]),
    st.sampled_from([None, True, False, math.inf, -math.inf, math.nan]),
    st.text(max_size=5),
    st.integers(-(10**38), 10**38),
    st.floats(),
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def paths(tree, at=()):
    """The path of everything in nested mappings and lists."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in inner:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*at, key))


@st.composite
def mutated(draw):
    """A valid spec's tree with a few values replaced, removed or added."""
    tree = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(paths(tree), key=str)))
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "rename"]))
        value = draw(VALUES)
        if change == "replace" or isinstance(parent, list):
            parent[path[-1]] = value
        elif change == "add":
            parent[draw(KEYS)] = value
        else:
            old = parent.pop(path[-1])
            if change == "rename":
                parent[draw(KEYS)] = old
    return tree


def lines_of(make):
    """What is wrong with the spec that `make` loads."""
    try:
        refuse(make())
    except SpecError as error:
        return error.lines
    except DataError:  # of an npz archive that is not there
        return ()
    return ()


@settings(max_examples=100, deadline=None)
@given(mutated())
@example({"fgspec": 1, "name": "a", "training": {"epochs": 1}, "rule": ["bp"]})
@example({"fgspec": 1, "name": "a", "training": {"epochs": 1}, "losses": {"local": {"local": 1}}})
@example({"fgspec": 1, "name": "a", "architecture": {"normalization": {"readout": {}}}})
def test_a_mutated_spec_is_told_in_placed_lines(tree):
    for line in lines_of(lambda: loads(flow(tree))):
        assert PLACED.fullmatch(line), line


@settings(max_examples=60, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=4), VALUES)
def test_any_setting_is_told_in_placed_lines(keys, value):
    setting = f"{'.'.join(keys)}={flow(value)}"
    for line in lines_of(lambda: load(QUICKSTART, [setting])):
        assert line.startswith(("--set: ", f"{QUICKSTART}:")), line
        assert "\n" not in line


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_told_in_placed_lines(text):
    for line in lines_of(lambda: loads(text)):
        assert PLACED.fullmatch(line), line


@pytest.mark.parametrize("word", ["a\nb", "\x7f", "é", "- a", "#", "~", "", "a: b", ".nan", "0x1"])
def test_what_is_shown_of_a_text_fits_on_a_line(word):
    (line,) = lines_of(lambda: loads(flow({**BASES[0], "seed": word})))
    assert line.endswith(f"must be a whole number (got {flow(word)})")
