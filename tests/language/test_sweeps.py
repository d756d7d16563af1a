"""A sweep file: which arms it has, and every mistake with its place in that file."""

from pathlib import Path

import pytest

from fgspec.loading.spec_file import load
from fgspec.problems.problems import SpecError
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.show import plan_lines

ROOT = Path(__file__).parents[2]
SPEC = """\
fgspec: 1
name: base
rule: lg-fg-a
optimizer: {type: sgd}
training: {epochs: 2}
"""
HEAD = "fgspec: 1\nname: s\nbase: base.yaml\n"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Writes a base and a sweep beside it; returns what is read from them."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(SPEC)

    def read(text, *overrides, head=HEAD):
        Path("s.yaml").write_text(head + text)
        return load_sweep("s.yaml", overrides)

    return read


def test_a_sweep_where_a_spec_belongs(sweep):
    sweep("grid: {optimizer.learning_rate: [0.1]}\n")
    with pytest.raises(SpecError) as error:
        load("s.yaml")
    said = "belongs in a sweep; to train this file as one, use fgspec sweep s.yaml"
    assert str(error.value) == f"s.yaml:3:1: base: {said}"


def labels(found):
    return [arm.label for arm in found.arms]


def test_a_grid_has_every_value_with_every_other(sweep):
    found = sweep(
        "grid:\n  gradient.perturbation.samples: [1, 2]\n"
        "  optimizer.learning_rate: [0.1, 0.2, 0.3]\n"
    )
    assert labels(found) == [
        f"samples-{k}-learning_rate-{rate}" for k in (1, 2) for rate in (0.1, 0.2, 0.3)
    ]
    specs = [arm.loaded.experiment for arm in found.arms]
    assert [s.gradient.perturbation.samples for s in specs] == [1, 1, 1, 2, 2, 2]
    assert [s.optimizer.learning_rate for s in specs] == [0.1, 0.2, 0.3] * 2
    assert specs[0].name == "s-samples-1-learning_rate-0.1"


def test_what_is_zipped_goes_together(sweep):
    found = sweep(
        "zip:\n  optimizer.learning_rate: [0.1, 0.2]\n  data.batch_size: [32, 64]\nseeds: [5, 7]\n"
    )
    specs = [arm.loaded.experiment for arm in found.arms]
    assert [(s.optimizer.learning_rate, s.data.batch_size) for s in specs] == [(0.1, 32), (0.2, 64)]
    assert found.seeds == (5, 7)
    assert {s.seed for s in specs} == {5}


def test_arms_have_their_names_and_share_what_is_set(sweep):
    found = sweep(
        "set: {training.epochs: 7}\narms:\n  a: {rule: bp}\n  b: {data: {batch_size: 16}}\n"
    )
    assert labels(found) == ["a", "b"]
    a, b = (arm.loaded.experiment for arm in found.arms)
    assert (a.training.epochs, a.gradient.perturbation) == (7, None)
    assert (b.training.epochs, b.data.batch_size) == (7, 16)


def test_random_arms_are_the_same_every_time_and_in_their_bounds(sweep):
    text = (
        "random:\n  count: 40\n  seed: {}\n  fields:\n"
        "    optimizer.learning_rate: {{low: 1.0e-3, high: 1, scale: log}}\n"
        "    gradient.perturbation.samples: {{low: 1, high: 4}}\n"
        "    data.batch_size: {{values: [32, 64]}}\n"
    )
    found = sweep(text.format(1))
    specs = [arm.loaded.experiment for arm in found.arms]
    rates = sorted(s.optimizer.learning_rate for s in specs)
    assert 1e-3 <= rates[0] < 1e-2
    assert 0.1 < rates[-1] <= 1
    assert 0.01 < rates[20] < 0.1  # the median of a uniform logarithm
    assert {s.gradient.perturbation.samples for s in specs} == {1, 2, 3, 4}
    assert {s.data.batch_size for s in specs} == {32, 64}
    again, other = sweep(text.format(1)), sweep(text.format(2))
    assert [arm.loaded.values() for arm in again.arms] == [
        arm.loaded.values() for arm in found.arms
    ]
    assert [s.optimizer.learning_rate for s in specs] != [
        arm.loaded.experiment.optimizer.learning_rate for arm in other.arms
    ]


def test_bases_are_one_or_a_list(sweep):
    Path("ot her.yaml").write_text(SPEC.replace("epochs: 2", "epochs: 3"))
    found = sweep("", head="fgspec: 1\nname: s\nbase: [base.yaml, ot her.yaml]\n")
    assert labels(found) == ["base", "ot-her"]
    assert [arm.loaded.experiment.training.epochs for arm in found.arms] == [2, 3]
    (one,) = sweep("", head="fgspec: 1\nname: s\nbase:\n  - base.yaml\n").arms
    assert one.label == "s"


def test_labels_of_any_length_name_runs_and_files(sweep):
    long = ["x" * 150, "x" * 151, "\u00e9" * 90, "y"]
    found = sweep(
        "grid:\n  optimizer:\n"
        "    - {type: sgd, learning_rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.1}\n"
        "    - {type: adamw, learning_rate: 0.001, weight_decay: 0.05}\n"
        f"  description: {long}\n  training.epochs: [1, 2, 3, 4]\n",
        head=HEAD.replace("name: s", f"name: {'s' * 90}"),
    )
    assert len(found.arms) == 8  # a description trains nothing else
    names = [arm.loaded.experiment.name for arm in found.arms]
    for texts in (names, labels(found)):
        assert len(set(texts)) == 8
        assert max(map(len, texts)) <= 100
    again = sweep("grid: {training.epochs: [1, 2]}\n")
    assert labels(again) == ["epochs-1", "epochs-2"]  # short ones stay as they are


def test_items_of_lists_are_swept(sweep):
    Path("base.yaml").write_text(SPEC + "architecture: {type: mlp, hidden: [8, 4]}\n")
    for path in ("architecture.hidden.1", "architecture.hidden[1]"):
        found = sweep(f"grid: {{'{path}': [16, 32]}}\nset: {{rule: bp}}\n")
        assert labels(found) == ["hidden-1-16", "hidden-1-32"]
        hidden = [arm.loaded.experiment.architecture.hidden for arm in found.arms]
        assert hidden == [(8, 16), (8, 32)]
    with pytest.raises(SpecError) as error:
        sweep("grid: {'architecture.hidden[2]': [16, 32]}\nset: {rule: bp}\n")
    assert error.value.lines[0] == (
        "s.yaml:4:35: architecture.hidden: is a list; its items are numbered 0 to 1 (got 2) "
        "(arm hidden-2-16)"
    )


def test_random_arms_say_what_was_drawn(sweep):
    text = "random: {count: 2, fields: {optimizer.learning_rate: {low: 0.01, high: 1}}}\n"
    found = sweep(text + "grid: {training.epochs: [1]}\n")
    lines = plan_lines(found, {arm.label: (1, 1) for arm in found.arms})
    for arm in found.arms:
        rate = arm.loaded.experiment.optimizer.learning_rate
        assert f"{arm.label}: optimizer.learning_rate={rate}" in lines


def test_what_trains_the_same_is_dropped(sweep):
    found = sweep("arms:\n  a: {rule: lg-fg-a}\n  b: {description: the same}\n  c: {rule: bp}\n")
    assert labels(found) == ["a", "c"]
    assert found.dropped == ("b is left out: it trains the same as a",)


def test_an_arm_is_what_its_settings_say_on_the_command_line(sweep):
    (arm,) = sweep("grid: {gradient.perturbation.guess: [{type: normal}]}\n").arms
    assert load("base.yaml", arm.loaded.overrides).values() == arm.loaded.values()


def test_what_is_set_on_the_command_line_is_stronger(sweep):
    found = sweep("set: {training.epochs: 7}\ngrid: {rule: [bp, fa]}\n", "training.epochs=3")
    assert {arm.loaded.experiment.training.epochs for arm in found.arms} == {3}


MISTAKES = {
    "grid: {rule: [bp, lg-fg-a], gradient.perturbation.samples: [4]}\n": [
        "s.yaml:4:61: gradient.perturbation: rule bp at s.yaml:4:15 never reads it; remove one of "
        "the two (arm bp-samples-4)"
    ],
    "grid: {optimizer.learning_rate: [-1, -2]}\n": [
        "s.yaml:4:34: optimizer.learning_rate: must be > 0 (got -1) (arm learning_rate--1)",
        "s.yaml:4:38: optimizer.learning_rate: must be > 0 (got -2) (arm learning_rate--2)",
    ],
    "set: {training.epoch: 3}\n": ["s.yaml:4:7: training.epoch: unknown key; did you mean epochs?"],
    "grids: {rule: [bp]}\n": ["s.yaml:4:1: grids: unknown key; did you mean grid?"],
    "grid: {rule: []}\nseeds: [-1]\n": [
        "s.yaml:4:14: grid.rule: must list at least 1 (got [])",
        "s.yaml:5:9: seeds[0]: must be >= 0 (got -1)",
    ],
    "grid: {seed: [1, 2]}\n": [
        "s.yaml:4:8: grid.seed: an arm cannot set seed: it belongs in `seeds`, which all arms share"
    ],
    "zip: {rule: [bp, fa], training.epochs: [1]}\n": [
        "s.yaml:4:6: zip: must be lists of equal length (rule has 2, training.epochs has 1)"
    ],
    "seeds: [1, 1]\n": ["s.yaml:4:8: seeds: must name each seed once (got [1, 1])"],
    "random: {count: 2, fields: {data.batch_size: {low: 1}}}\n": [
        's.yaml:4:46: random.fields."data.batch_size": needs either values: [...], or low and high '
        "(got {low: 1})"
    ],
    "random: {count: 2, fields: {data.batch_size: {low: 0, high: 1, scale: log}}}\n": [
        's.yaml:4:46: random.fields."data.batch_size": low must be > 0 on a logarithmic scale '
        "(got {low: 0, high: 1, scale: log})"
    ],
    "random: {count: 2, fields: {data.batch_size: {min: 1}}}\n": [
        's.yaml:4:47: random.fields."data.batch_size".min: unknown key; known: values, low, high, '
        "scale"
    ],
    "optuna: {count: 2, fields: {data.batch_size: {low: 8, high: 4}, seed: {values: [1]}}}\n"
    "grid: {rule: [bp]}\n": [
        's.yaml:4:46: optuna.fields."data.batch_size": low must be < high (got {low: 8, high: 4})',
        "s.yaml:4:65: optuna.fields.seed: an arm cannot set seed: it belongs in `seeds`, which "
        "all arms share",
        "s.yaml:5:7: grid: optuna chooses all arms; use a separate sweep for these",
    ],
    "optuna: {count: 2, fields: {data.batch_sise: {low: 4, high: 8}}}\n": [
        "s.yaml:4:29: data.batch_sise: unknown key; did you mean batch_size?"
    ],
    "set: [1]\n": ["s.yaml:4:6: set: must be a mapping of keys to values (got [1])"],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_place_in_the_sweep(sweep, text):
    with pytest.raises(SpecError) as error:
        sweep(text)
    assert list(error.value.lines) == MISTAKES[text]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (SPEC, "s.yaml:1:1: this is a spec; write a sweep file that has base: s.yaml"),
        ("fgspec: 1\nname: s\n", "s.yaml:1:1: base: missing; add base:"),
        (
            "fgspec: 1\nname: s\nbase: none.yaml\n",
            "s.yaml:3:7: base: no such file (got none.yaml)",
        ),
        (
            "fgspec: 1\nname: s\nbase: [base.yaml, ../b.yaml]\n",
            "s.yaml:3:19: base[1]: is outside of {here}/, the folder of these specs; move the base "
            "inside (got ../b.yaml)",
        ),
        (
            "fgspec: 1\nname: s\nbase: /etc/passwd\n",
            "s.yaml:3:7: base: must be the path of a spec, relative to this one (got /etc/passwd)",
        ),
        (
            "fgspec: 1\nname: s\nbase: s.yaml\n",
            "s.yaml:3:7: base: is circular: s.yaml -> s.yaml (got s.yaml)",
        ),
        ("fgspec: 1\nname: s\nbase: []\n", "s.yaml:3:7: base: must list at least 1 (got [])"),
        (
            "- 1\n",
            "s.yaml:1:1: The document is a list; expected a mapping: write 'key: value' lines",
        ),
    ],
)
def test_a_sweep_without_a_base_is_told(sweep, head, line):
    with pytest.raises(SpecError) as error:
        sweep("", head=head)
    assert list(error.value.lines) == [line.replace("{here}", Path.cwd().name)]


BASELINES = "baselines: [linear_probe, random_blocks, bp_equal_updates, bp_equal_memory]\n"


def test_baselines_stand_beside_the_rule_that_set_names(sweep):
    found = sweep(BASELINES, "rule=dfa", "optimizer.learning_rate=0.3")
    names = ["linear_probe", "random_blocks", "bp_equal_updates", "bp_equal_memory"]
    assert labels(found) == ["s", *names]
    specs = {arm.label: arm.loaded.experiment for arm in found.arms}
    assert str(specs["s"].gradient.estimator) == "direct_feedback"
    for name in names:
        assert specs[name].name == f"s-{name}"
        assert str(specs[name].gradient.estimator) == "exact"
        assert specs[name].losses.isolate == "none"
        assert specs[name].optimizer.learning_rate == 0.3
    assert str(specs["linear_probe"].architecture) == "linear"
    assert specs["random_blocks"].freeze == ("blocks",)
    assert found.arms[3].loaded.rule == "bp"


def test_arms_share_the_baselines_that_are_the_same_for_them(sweep):
    grid = "grid: {rule: [dfa, fg-w], optimizer.learning_rate: [0.1, 0.2]}\n"
    found = sweep(f"{grid}baselines: [bp_equal_updates]\n")
    own = [f"dfa-learning_rate-{rate}-bp_equal_updates" for rate in (0.1, 0.2)]
    assert labels(found)[4:] == own
    assert len(found.dropped) == 2
    assert f"trains the same as {own[0]}" in found.dropped[0]


def test_a_baseline_has_settings_of_its_own(sweep):
    found = sweep(
        "baselines:\n  - type: bp_equal_updates\n    set: [optimizer.learning_rate=0.5]\n",
        "optimizer.learning_rate=0.3",
    )
    assert [arm.loaded.experiment.optimizer.learning_rate for arm in found.arms] == [0.3, 0.5]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "baselines: [linear_prob]\n",
            "s.yaml:4:13: baselines[0]: must be one of bp_equal_memory, bp_equal_time, "
            "bp_equal_updates, linear_probe, random_blocks; did you mean linear_probe? "
            "(got linear_prob)",
        ),
        (
            "baselines: [{type: random_blocks, set: [seed=1]}]\n",
            "s.yaml:4:41: baselines[0].set[0]: a baseline cannot set seed: it belongs in `seeds`, "
            'which all arms share (got "seed=1")',
        ),
        (
            "baselines: [{type: random_blocks, set: [optimizer.momentun=0.9]}]\n",
            "s.yaml:4:13: optimizer.momentun: unknown key of sgd; did you mean momentum? "
            "(arm random_blocks)",
        ),
        (
            "baselines: [linear_probe]\noptuna: {count: 2, fields: {optimizer.learning_rate: "
            "{low: 0.1, high: 0.2}}}\n",
            "s.yaml:4:12: baselines: optuna chooses all arms; use a separate sweep for these",
        ),
    ],
)
def test_mistakes_in_baselines(sweep, text, line):
    with pytest.raises(SpecError) as error:
        sweep(text)
    assert str(error.value) == line
