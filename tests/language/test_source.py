"""Laws of resolving: the resolved text, rules, bases, settings, origins and differences."""

import random
import textwrap
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from language.clumsy import leaves
from spec_files import ROOT, SPECS

from fgspec.loading.resolved import differences, resolved_text, spec_hash
from fgspec.loading.spec_file import load, loads, set_by
from fgspec.problems.problems import SpecError, flow
from fgspec.spec.guesses import GUESSES
from fgspec.spec.projections import COEFFICIENTS, GRANULARITIES, GROUPINGS, SCALES
from fgspec.spec.rules import RULES
from fgspec.spec.spaces import SPACES
from fgspec.spec.targets import TARGETS

HEAD = {"fgspec": 1, "name": "a", "training": {"epochs": 60}}


def name_of(path):
    return str(path.relative_to(ROOT))


hash_of = spec_hash


@st.composite
def optimizers(draw):
    rate = st.floats(1e-30, 1e30) | st.integers(1, 9)
    section = {"type": draw(st.sampled_from(["sgd", "adam", "adamw", "lars"]))}
    schedules = [{"type": "constant"}, {"type": "staircase", "factor": 0.5}]
    schedules += [{"type": "linear", "end_factor": 1e-08}, {"type": "warmup_cosine"}]
    return section | {"learning_rate": draw(rate), "schedule": draw(st.sampled_from(schedules))}


@st.composite
def architectures(draw):
    if draw(st.booleans()):
        return {"type": "mlp", "hidden": draw(st.lists(st.integers(1, 99), min_size=1))}
    groups, blocks = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    channels = groups * draw(st.integers(1, 9))
    return {"type": "local_mixer", "blocks": blocks, "channels": channels, "groups": groups}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
OPTIONAL = {
    "rule": st.sampled_from([*RULES.names(), None]),
    "seed": st.integers(0, 2**32 - 1),
    "description": TEXT,
    "data": st.builds(lambda path: {"source": {"type": "npz", "path": path}}, TEXT),
    "architecture": architectures(),
    "optimizer": optimizers(),
    "mesh": st.just({"data": -1}),
    "checkpoint": st.just({"every": {"steps": 7}, "keep": 3}),
    "expect": st.builds(
        lambda value, source: {
            "metric": "test/error",
            "value": value,
            "tolerance": 0,
            "source": source,
        },
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
}
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@st.composite
def trees(draw):
    """A valid spec as plain values."""
    return HEAD | {"name": draw(NAMES)} | draw(st.fixed_dictionaries({}, optional=OPTIONAL))


def shuffled(tree, order):
    if not isinstance(tree, dict):
        return tree
    keys = list(tree)
    order.shuffle(keys)
    return {key: shuffled(tree[key], order) for key in keys}


def block(tree, depth=0):
    """A tree in block style, with a comment and a blank line after every key."""
    text = ""
    for key, value in tree.items():
        nested = isinstance(value, dict) and value
        text += f"{'  ' * depth}{key}:" + (" # why\n\n" if nested else f" {flow(value)}  # so\n\n")
        text += block(value, depth + 1) if nested else ""
    return text


@pytest.mark.parametrize("path", SPECS, ids=name_of)
def test_resolved_text_of_every_spec_is_the_same_spec(path):
    loaded = load(path)
    again = loads(resolved_text(loaded))
    assert again.experiment == loaded.experiment
    assert hash_of(again) == hash_of(loaded)
    assert differences(loaded, again) == []
    assert resolved_text(again).splitlines()[0].endswith("# <text>:1:1")


@settings(max_examples=200, deadline=None)
@given(trees())
def test_resolved_text_is_the_same_spec(tree):
    loaded = loads(flow(tree))
    again = loads(resolved_text(loaded))
    assert again.values() == loaded.values()
    assert hash_of(again) == hash_of(loaded)


@st.composite
def perturbations(draw):
    """Any combination of what a perturbation chooses, most of which `check` refuses."""

    def some(table):
        return st.sampled_from(table.names())

    projection = {
        "type": some(SCALES),
        "coefficient": some(COEFFICIENTS),
        "granularity": some(GRANULARITIES),
        "grouping": some(GROUPINGS),
        "applies_to": st.sampled_from(["output", "weights"]),
    }
    fields = {
        "space": some(SPACES),
        "guess": some(GUESSES),
        "sharing": st.sampled_from(["example", "batch", "views"]),
        "projection": st.fixed_dictionaries({}, optional=projection),
        "last_block": st.sampled_from(["estimated", "exact"]),
    }
    estimator = {"target": draw(some(TARGETS)), "estimator": "forward"}
    found = draw(st.fixed_dictionaries({}, optional=fields))
    losses = {"local": {}, "isolate": draw(st.sampled_from(["none", "block"]))}
    return HEAD | {"losses": losses, "gradient": estimator | {"perturbation": found}}


@settings(max_examples=300, deadline=None)
@given(perturbations())
@example(
    HEAD
    | {
        "rule": "fg-w",
        "gradient": {"perturbation": {"sharing": "example", "projection": {"grouping": "block"}}},
    }
)
def test_what_is_completed_is_never_refused(tree):
    try:
        loaded = loads(flow(tree))
    except SpecError:
        return
    assert loads(resolved_text(loaded)).values() == loaded.values()


@pytest.mark.parametrize("value", ["auto", "scanned"])
def test_retired_fields_of_old_specs_change_nothing(value):
    assert hash_of(loads(flow(HEAD | {"compile": {"samples": value}}))) == hash_of(
        loads(flow(HEAD))
    )


def test_heads_may_learn_beside_a_global_target():
    beside = HEAD | {"losses": {"local": {}}, "gradient": {"target": "global"}}
    spec = loads(flow(beside)).experiment
    assert (spec.losses.local.every, str(spec.gradient.target)) == (1, "global")


@pytest.mark.parametrize("rule", RULES.names())
def test_a_rule_is_what_it_stands_for(rule):
    fields = RULES.kind(rule).settings
    written = loads(flow(HEAD | fields))
    short = loads(flow(HEAD | {"rule": rule}))
    both = loads(flow(HEAD | fields | {"rule": rule}))
    assert hash_of(short) == hash_of(written) == hash_of(both)


def test_rules_are_all_different():
    rules = RULES.names()
    assert len({hash_of(loads(flow(HEAD | {"rule": rule}))) for rule in rules}) == len(rules)


@settings(max_examples=100, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_identity_is_of_values_alone(tree, order):
    expected = hash_of(loads(flow(tree)))
    assert hash_of(loads(flow(shuffled(tree, order)))) == expected
    assert hash_of(loads("# what for\n" + block(tree))) == expected


@settings(max_examples=50, deadline=None)
@given(tree=trees(), seed=st.integers(0, 99))
def test_identity_is_the_same_for_bases_and_settings(tmp_path_factory, tree, seed):
    order = random.Random(seed)
    expected = hash_of(loads(flow(tree)))
    folder = tmp_path_factory.mktemp("specs")
    parts = [{}, {}]
    for key, value in tree.items():
        parts[order.randrange(2)][key] = value
    (folder / "_base.yaml").write_text(flow(parts[0]), encoding="utf-8")
    (folder / "top.yaml").write_text(flow({"extends": "_base.yaml"} | parts[1]), encoding="utf-8")
    assert hash_of(load(folder / "top.yaml")) == expected

    (folder / "one.yaml").write_text(flow(HEAD), encoding="utf-8")
    sets = [f"{'.'.join(path)}={flow(value)}" for path, value in leaves(tree)]
    assert hash_of(load(folder / "one.yaml", sets)) == expected


@pytest.fixture
def family(tmp_path, monkeypatch):
    """Writes specs/<name>.yaml beside each other, and loads the last."""
    monkeypatch.chdir(tmp_path)
    Path("specs").mkdir()

    def write(*texts, sets=()):
        for number, text in enumerate(texts):
            above = f"extends: {number - 1}.yaml\n" if number else ""
            Path(f"specs/{number}.yaml").write_text(textwrap.dedent(text) + above)
        return load(f"specs/{len(texts) - 1}.yaml", sets)

    return write


BASE = """\
fgspec: 1
name: base
training: {epochs: 60}
optimizer: {type: adam, learning_rate: 0.1, beta1: 0.5}
architecture: {type: mlp, hidden: [8, 8]}
"""


def test_origins(family):
    loaded = family(BASE, "name: top\nrule: fg-w\n", sets=["seed=3", "data.source={type: mnist}"])
    places = {path: str(set_by(loaded, path)) for path, _ in leaves(loaded.values())}
    assert places["name",] == "specs/1.yaml:1:1"
    assert places["optimizer", "beta1"] == "specs/0.yaml:4:45"
    assert places["architecture", "hidden"] == "specs/0.yaml:5:27"
    assert places["seed",] == places["data", "source", "type"] == "--set"
    assert places["gradient", "target"] == "rule fg-w (specs/1.yaml:2:1)"
    assert places["gradient", "perturbation", "space"] == "rule fg-w (specs/1.yaml:2:1)"
    assert places["gradient", "perturbation", "sharing"] == "default"
    assert places["data", "batch_size"] == places["data", "source", "path"] == "default"
    by_set = family(BASE, sets=["rule=bp"])
    assert str(set_by(by_set, ("gradient", "target"))) == "rule bp"


def test_what_is_overridden_leaves_no_origin(family):
    loaded = family(BASE, "optimizer: {learning_rate: 0.2}\n", sets=["architecture.hidden=[4]"])
    assert str(set_by(loaded, ("optimizer", "learning_rate"))) == "specs/1.yaml:1:13"
    assert str(set_by(loaded, ("architecture", "hidden"))) == "--set"
    assert ("architecture", "hidden", 1) not in loaded.origins


def test_nearer_bases_win_and_settings_win_over_all(family):
    texts = BASE, "seed: 1\nname: b\ndata: {batch_size: 1}\n", "seed: 2\nname: c\n"
    spec = family(*texts, sets=["seed=4"]).experiment
    assert (spec.seed, spec.name, spec.data.batch_size) == (4, "c", 1)


def test_mappings_merge_and_lists_are_replaced(family):
    spec = family(BASE, "optimizer: {beta2: 0.7}\narchitecture: {hidden: [4]}\n").experiment
    assert (spec.optimizer.learning_rate, spec.optimizer.beta1, spec.optimizer.beta2) == (
        0.1,
        0.5,
        0.7,
    )
    assert spec.architecture.hidden == (4,)


def test_another_type_keeps_the_fields_that_both_have(family):
    loaded = family(BASE, "optimizer: {type: sgd}\n")
    assert loaded.experiment.optimizer.learning_rate == 0.1
    assert "beta1" not in loaded.tree["optimizer"]
    assert str(set_by(loaded, ("optimizer", "type"))) == "specs/1.yaml:1:13"
    assert ("optimizer", "beta1") not in loaded.origins
    assert family(BASE, sets=["optimizer.type=adamw"]).experiment.optimizer.beta1 == 0.5


def test_type_none_keeps_nothing(family):
    norm = "architecture: {type: mlp, normalization: {type: layer_norm, placement: []}}\n"
    base = BASE.replace("architecture: {type: mlp, hidden: [8, 8]}\n", norm)
    loaded = family(base, "architecture: {normalization: {type: none}}\n")
    assert loaded.tree["architecture"]["normalization"] == {"type": "none"}


@pytest.mark.parametrize("key", ["epochs", "steps"])
def test_epochs_and_steps_replace_each_other(family, key):
    other = "steps" if key == "epochs" else "epochs"
    loaded = family(BASE, f"training: {{{key}: 7, log_every: {{{key}: 3}}}}\n")
    training = loaded.experiment.training
    assert (getattr(training, key), getattr(training, other)) == (7, None)
    assert (getattr(training.log_every, key), getattr(training.log_every, other)) == (3, None)
    again = family(BASE, sets=[f"training.{key}=7"]).experiment.training
    assert (getattr(again, key), getattr(again, other)) == (7, None)


def test_null_takes_a_value_of_the_base_away(family):
    spec = family(BASE, "training: {epochs: null, steps: 5}\n").experiment
    assert (spec.training.epochs, spec.training.steps) == (None, 5)


@settings(max_examples=100, deadline=None)
@given(trees(), trees())
def test_differences_are_symmetric_and_complete(left, right):
    a, b = loads(flow(left)), loads(flow(right))
    assert differences(a, a) == []
    forth, back = differences(a, b), differences(b, a)
    assert {(d.path, flow_or(d.a), flow_or(d.b)) for d in forth} == {
        (d.path, flow_or(d.b), flow_or(d.a)) for d in back
    }
    assert (not forth) == (hash_of(a) == hash_of(b))


def flow_or(value):
    """A value's text; MISSING has none."""
    return flow(value) if isinstance(value, str | int | float | list | None) else "absent"


def test_differences_say_both_places():
    a = loads(flow(HEAD))
    b = loads(flow(HEAD | {"optimizer": {"type": "adam"}}))
    found = {d.json()["field"]: d.json() for d in differences(a, b)}
    assert found["optimizer.type"]["a"] == {"value": "sgd", "present": True, "origin": "default"}
    assert found["optimizer.type"]["b"]["origin"].startswith("<text>:1:")
    assert found["optimizer.momentum"]["b"] == {"value": None, "present": False, "origin": None}
    assert "optimizer.learning_rate" not in found


def test_a_text_has_no_base():
    with pytest.raises(
        SpecError,
        match=r"<text>:1:\d+: extends: needs a spec that is a file",
    ):
        loads(flow({"extends": "a.yaml"} | HEAD))


def test_numbers_and_words_of_yaml_1_2():
    text = "fgspec: 1\nname: no\ntraining: {epochs: 1}\noptimizer: {type: sgd, learning_rate: 1e-3}"
    spec = loads(text).experiment
    assert (spec.name, spec.optimizer.learning_rate) == ("no", 0.001)
    assert hash_of(loads(text)) == hash_of(loads(text.replace("1e-3", "0.001")))
