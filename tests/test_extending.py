"""What docs/extending.md says works: a guess from an installed package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
SPEC = """
fgspec: 1
name: a
rule: lg-fg-a
architecture: {type: mlp, hidden: [8, 6]}
gradient: {perturbation: {guess: {type: uniform}}}
training: {steps: 3}
"""


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.S)


def _install(folder, module):
    """What installing the package of the guide leaves in a folder of packages."""
    (group, entry) = re.search(r'entry-points\."(.*)"\]\n(.*)\n', _blocks("toml")[0]).groups()
    (folder / "fgspec_uniform.py").write_text(module)
    info = folder / "fgspec_uniform-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fgspec-uniform\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")


def _fgspec(folder, *arguments):
    (folder / "a.yaml").write_text(SPEC)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "fgspec", *arguments]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_an_installed_guess_is_known_and_trains(tmp_path):
    before = _fgspec(tmp_path, "check", "a.yaml")
    assert before.returncode == 2
    assert "must be one of normal, rademacher, sphere" in before.stderr
    _install(tmp_path, _blocks("python")[0])
    assert _fgspec(tmp_path, "check", "a.yaml").returncode == 0
    assert '"uniform"' in _fgspec(tmp_path, "schema").stdout
    trained = _fgspec(tmp_path, "train", "a.yaml")
    assert trained.returncode == 0, trained.stderr
    (summary,) = (tmp_path / "runs").rglob("summary.json")
    assert json.loads(summary.read_text())["step"] == 3


def test_an_installed_guess_that_is_broken_is_one_line(tmp_path):
    _install(tmp_path, "import nowhere_at_all\n")
    found = _fgspec(tmp_path, "train", "a.yaml")
    assert found.returncode == 2
    (line,) = found.stderr.strip().splitlines()
    assert line.startswith("fgspec-uniform: its guess uniform cannot be imported: No module named")


def test_the_guess_takes_a_dozen_lines():
    code = [line for line in _blocks("python")[0].splitlines() if line]
    assert len(code) <= 12
