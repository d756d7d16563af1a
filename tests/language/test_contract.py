"""An ablation differs from its base in what it lists, and in nothing else."""

from pathlib import Path

import pytest

from fgspec.comparing.contract import base, broken, untold
from fgspec.loading.resolved import identity
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError

BASE = """
fgspec: 1
name: base
rule: lg-fg-a
seed: 3
data: {batch_size: 8}
architecture: {type: local_mixer, blocks: 2, patches: 2, channels: 8, groups: 2}
training: {epochs: 2}
"""
ARM = """
fgspec: 1
name: arm
extends: base.yaml
gradient: {perturbation: {guess: {type: normal}}}
ablation: {base: base.yaml, changes: [gradient.perturbation.guess]}
"""


@pytest.fixture
def arm(tmp_path):
    """Writes both files, the second changed, and loads it."""
    (tmp_path / "base.yaml").write_text(BASE)

    def write(old="", new="", more="", overrides=()):
        path = tmp_path / "arm.yaml"
        path.write_text(ARM.replace(old, new) + more)
        return load(path, overrides)

    return write


def lines(loaded):
    """What is wrong, as `check` prints it, without the folder."""
    with pytest.raises(SpecError) as error:
        loaded.refuse(broken(loaded))
    return [line.replace(f"{Path(loaded.file).parent}/", "") for line in error.value.lines]


def test_it_holds(arm):
    assert broken(arm()) == []
    assert broken(arm(more="description: other\nexpect: null\n")) == []
    assert broken(arm("[gradient.perturbation.guess]", "[gradient.perturbation]")) == []


def test_it_is_no_part_of_the_resolved_spec(arm):
    spec = arm()
    without = arm("ablation: {base: base.yaml, changes: [gradient.perturbation.guess]}\n", "")
    assert identity(spec.values()) == identity(without.values())
    assert broken(without) == []


def test_what_is_not_listed_is_refused_where_it_stands(arm):
    assert lines(arm(more="optimizer: {type: sgd, learning_rate: 0.5}\n")) == [
        "arm.yaml:7:39: optimizer.learning_rate: differs from base.yaml, where it is 0.01 "
        "(default), and ablation.changes does not list it; set it back, or list it (got 0.5)",
    ]


def test_what_follows_from_a_change_is_to_be_listed_too(arm):
    """A guess made from the network has other defaults around it."""
    found = lines(arm("normal", "local"))
    assert any("gradient.perturbation.projection.type: differs" in line for line in found)
    assert any("losses.local.last: differs" in line for line in found)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("gradient.perturbation.gess", "no such field; did you mean gradient.perturbation.guess?"),
        ("optimizer", "is the same in"),
        ("seed", "is the same in"),
    ],
)
def test_what_is_listed_is_a_field_that_differs(arm, listed, expected):
    found = lines(arm("[gradient.", f"[{listed}, gradient."))
    assert [expected in line for line in found] == [True]
    assert found[0].startswith("arm.yaml:6:39: ablation.changes[0]: ")


def test_overrides_act_on_both_but_for_what_is_listed(arm):
    spec = arm(overrides=["seed=9", "gradient.perturbation.guess.type=sphere"])
    assert broken(spec) == []
    assert base(spec).experiment.seed == 9
    assert base(spec).experiment.gradient.perturbation.guess.type == "rademacher"
    same = arm(overrides=["gradient.perturbation.guess.type=rademacher"])
    assert "is the same in" in lines(same)[0]


def test_it_binds_the_file_that_states_it(arm, tmp_path):
    arm()
    path = tmp_path / "more.yaml"
    path.write_text("extends: arm.yaml\nname: more\nseed: 4\n")
    assert load(path).ablation is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("base: base.yaml", "base: none.yaml", "6:18: ablation.base: no such file (got none.yaml)"),
        ("base: base.yaml", "base: arm.yaml", "ablation.base: is circular"),
        ("base: base.yaml", "base: ../base.yaml", "ablation.base: is outside of"),
        ("base: base.yaml", "base: /base.yaml", "ablation.base: must be the path of a spec"),
    ],
)
def test_a_base_stands_beside_it(arm, old, new, expected):
    with pytest.raises(SpecError) as error:
        broken(arm(old, new))
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("base: ", "bsae: ", "6:12: ablation.bsae: unknown key; did you mean base?"),
        ("base: base.yaml, ", "", "6:1: ablation.base: missing; add base:"),
        (
            "[gradient.perturbation.guess]",
            "[]",
            "6:38: ablation.changes: must list at least 1 (got [])",
        ),
        ("]}", "], touches: [nose]}", "ablation.touches[0]: must be one of initial, data, forward"),
        ("ablation:", "ablaton:", "6:1: ablaton: unknown key; did you mean ablation?"),
    ],
)
def test_mistakes(arm, old, new, expected):
    with pytest.raises(SpecError) as error:
        arm(old, new)
    assert expected in str(error.value)


def test_text_has_no_base_and_overrides_no_contract(arm):
    with pytest.raises(
        SpecError, match="ablation: needs a spec that is a file, because its path is relative to it"
    ):
        loads(ARM.replace("extends: base.yaml\n", ""))
    with pytest.raises(
        SpecError, match="ablation: cannot be set on the command line; write it in the spec"
    ):
        arm(overrides=["ablation.base=x"])


CHANGED = {
    "noise": ["perturbation/block0/dense"],
    "update": ["blocks/block0/dense/w", "blocks/block1/dense/w"],
    "run": [],
}


@pytest.mark.parametrize(
    ("touches", "refused"),
    [
        ("null", []),
        ("[noise, update]", []),
        ("[noise, update/blocks]", []),
        ("[noise, update/blocks/block0]", ["update"]),
        ("[noise, update/block]", ["update"]),
        ("[run]", ["noise", "update"]),
        ("[]", ["noise", "update"]),
    ],
)
def test_consequences_that_are_not_told_are_refused(arm, touches, refused):
    spec = arm("]}", f"], touches: {touches}}}")
    found = [problem.message for problem in untold(spec.ablation, CHANGED)]
    assert [message.split(",")[0] for message in found] == [f"does not list {g}" for g in refused]
    if touches.endswith("block0]"):
        assert "block1/dense" in found[0]
        assert "block0" not in found[0]
