"""What docs/extending.md says works, as it is written there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fgspec
from fgspec import testing
from fgspec.spec.kinds import TABLES

GUIDE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
SPEC = "fgspec: 1\nname: a\ntraining: {steps: 3}\narchitecture: {type: mlp, hidden: [6]}\n"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.S)


def block(language, words):
    """The one block of the guide that has these words."""
    (found,) = (text for text in blocks(language) if words in text)
    return found


def install(folder, pyproject, **modules):
    """What installing a package leaves in a folder of packages."""
    project = tomllib.loads(pyproject)["project"]
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    named = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
    points = ""
    for group, own in project["entry-points"].items():
        points += f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())
    (info / "entry_points.txt").write_text(points)


def run(folder, *command):
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_objective_of_the_guide_is_known_trains_and_keeps_the_laws(tmp_path):
    (tmp_path / "a.yaml").write_text(SPEC + block("yaml", "objective: hinge"))
    before = run(tmp_path, "-m", "fgspec", "check", "a.yaml")
    assert before.returncode == 2
    assert "must be one of binary_cross_entropy, c" in before.stderr
    module = block("python", "class Hinge")
    install(tmp_path, block("toml", "hinge"), hinge=module)
    assert '"hinge"' in run(tmp_path, "-m", "fgspec", "schema").stdout
    trained = run(tmp_path, "-m", "fgspec", "train", "a.yaml")
    assert trained.returncode == 0, trained.stderr
    (summary,) = (tmp_path / "runs").rglob("summary.json")
    assert json.loads(summary.read_text())["step"] == 3
    (tmp_path / "laws.py").write_text(
        block("python", "check_objective(Hinge)") + "\n\ntest_hinge()\n"
    )
    lawful = run(tmp_path, "laws.py")
    assert lawful.returncode == 0, lawful.stderr


RULE = """
[project]
name = "fgspec-sdfa"
version = "0.1"
[project.entry-points."fgspec.estimators"]
sdfa = "sdfa:Sdfa"
[project.entry-points."fgspec.rules"]
sdfa = "sdfa:SdfaRule"
"""


def test_the_rule_of_the_guide_trains(tmp_path):
    imports = (
        "from typing import ClassVar, Literal\n\nimport jax.numpy as jnp\n\nimport fgspec\n\n\n"
    )
    install(tmp_path, RULE, sdfa=imports + block("python", "class Sdfa("))
    (tmp_path / "a.yaml").write_text(SPEC + "rule: sdfa\n")
    trained = run(tmp_path, "-m", "fgspec", "train", "a.yaml")
    assert trained.returncode == 0, trained.stderr
    assert run(tmp_path, "-m", "fgspec", "init", "b.yaml", "--rule", "sdfa").returncode == 0
    assert run(tmp_path, "-m", "fgspec", "check", "b.yaml").returncode == 0


def test_the_guide_names_every_table_its_base_and_its_law():
    rows = re.findall(r"^\| (`.*) \| .* \| (`.*) \|$", GUIDE, re.M)
    told = {name for names, _ in rows for name in re.findall(r"`([a-z_]+)`", names.split("|")[0])}
    assert told == {group.removeprefix("fgspec.") for group in TABLES}
    for names, law in rows:
        for name in re.findall(r"`([A-Z]\w+)`", names):
            assert hasattr(fgspec, name), name
        for name in re.findall(r"`(check_\w+)`", law):
            assert hasattr(testing, name), name


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.what)
def test_the_base_of_a_table_that_messages_name_is_public(table):
    base = table.base_name().removeprefix("fgspec.")
    assert getattr(fgspec, base).table == table
