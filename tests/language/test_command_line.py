"""The words that `fgspec` takes: verbs, options, fields by themselves, completion, help."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from fgspec import __version__
from fgspec.cli.completion import fields
from fgspec.cli.main import VERBS
from fgspec.loading.spec_file import load, loads

GOOD = "fgspec: 1\nname: a\ntraining: {epochs: 2}\narchitecture: {type: mlp}\n"

LIGHT = {"fgspec", "typer", "click", "shellingham", "rich", "markdown_it", "mdurl", "pygments"} | {
    "annotated_doc",
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
"""What `--help` may import besides Python's own modules: typer, rich, and what these import."""


WORDS = list(dict.fromkeys(verb.split()[0] for verb in VERBS))
"""The first words of verbs."""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """A spec in a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    path = Path("a.yaml")
    path.write_text(GOOD)
    return path


def test_help_waits_for_nothing_heavy():
    program = f"""
import contextlib, io, sys
before = set(sys.modules)
import fgspec.cli.entry
from fgspec.cli.main import VERBS, app
for words in [["--help"], ["-h"], ["--version"], *([*verb.split(), "-h"] for verb in VERBS)]:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        app(words)
    assert out.getvalue()
others = {{name.partition(".")[0] for name in set(sys.modules) - before}}
others = {{name for name in others if not name.startswith("_sysconfigdata")}}
print(sorted(others - sys.stdlib_module_names - {LIGHT}))
print([name for name in sys.modules if name == "fgspec.spec.experiment"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_what_it_declares(verb):
    module = verb.replace(" ", "_")
    declared = importlib.import_module(f"fgspec.cli.verbs.{module}").run
    done = importlib.import_module(f"fgspec.cli.{module}_").run
    assert [*inspect.signature(declared).parameters] == [*inspect.signature(done).parameters]


def test_version(fgspec):
    assert fgspec("--version") == (0, f"fgspec {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(fgspec, verb):
    code, out, _ = fgspec(*verb.split(), "-h")
    assert (code, f"Example: fgspec {verb}" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian", "a.yaml"], "no such verb; did you mean train? (got trian)"),
        (["frobnicate"], f"no such verb; known: {', '.join(WORDS)} (got frobnicate)"),
        (["data", "chekc"], "no such verb; did you mean check? (got chekc)"),
        (["check", "a.yaml", "--ste", "seed=1"], "--ste (Possible options: --set)"),
    ],
)
def test_a_word_that_is_none_brings_its_neighbour(fgspec, words, line):
    code, out, err = fgspec(*words)
    assert (code, out) == (2, "")
    assert line in err


def test_a_field_by_itself_is_set(fgspec, spec):
    asked = ["show", spec, "optimizer.learning_rate=0.3", "--set", "seed=7", "name=b"]
    code, out, err = fgspec(*asked)
    assert (code, err) == (0, "")
    expected = load(spec, ["optimizer.learning_rate=0.3", "seed=7", "name=b"])
    assert loads(out).values() == expected.values()
    for verb in ("check", "plan", "train", "sweep", "diff", "bench"):
        code, _, err = fgspec(verb, spec, "seed=-1")
        assert (code, "seed: must be >= 0 (got -1)" in err or verb == "sweep") == (2, True)


def test_values_of_options_and_files_are_no_fields(fgspec, spec):
    Path("lr=1").write_text(GOOD)
    assert fgspec("check", "lr=1")[0] == 0
    code, _, err = fgspec("diff", spec, "seed=1", "--html", "no=folder/such=page", "--fields")
    assert (code, err) == (1, "")
    assert Path("no=folder/such=page").is_file()


def test_shells_complete_fields_and_values():
    assert fields("optimizer.learning_r") == ["optimizer.learning_rate="]
    offered = set(fields(""))
    assert {"seed=", "optimizer=", "gradient.perturbation.guess.set="} <= offered
    assert all(one.endswith("=") for one in offered)
    assert fields("gradient.perturbation.guess=s") == ["gradient.perturbation.guess=sphere"]
    assert fields("optimizer.nesterov=") == ["optimizer.nesterov=true", "optimizer.nesterov=false"]
    assert fields("no.such.field=") == []
