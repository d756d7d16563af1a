"""`fgspec check | show | diff | schema | init` as typed: output, exit codes, no tracebacks."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from fgspec.cli.schema_ import language_schema
from fgspec.loading.spec_file import load, loads
from fgspec.loading.template import quickstart
from fgspec.spec.rules import RULES

ROOT = Path(__file__).parents[2]
QUICKSTART = "specs/quickstart.yaml"
BP = "specs/quickstart/bp.yaml"


@pytest.fixture(autouse=True)
def _in_the_root_of_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def spec(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="a.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


GOOD = "fgspec: 1\nname: a\ntraining: {epochs: 2}\narchitecture: {type: mlp}\n"


def test_check_says_ok_with_the_name_and_the_hash(fgspec):
    code, out, err = fgspec("check", QUICKSTART, BP)
    assert (code, err) == (0, "")
    assert [line.split(",")[0] for line in out.splitlines()] == [
        f"{QUICKSTART}: ok (quickstart",
        f"{BP}: ok (quickstart-bp",
    ]


def test_check_tells_the_mistakes_of_all_files_once(fgspec, spec):
    wrong, worse = spec("seed: -1\n" + GOOD), spec("extends: a.yaml\nmesh: {data: 0}\n", "b.yaml")
    code, out, err = fgspec("check", wrong, QUICKSTART, worse)
    assert code == 2
    assert out.startswith(f"{QUICKSTART}: ok")
    assert err.splitlines() == [
        f"{wrong}:1:7: seed: must be >= 0 (got -1)",
        f"{worse}:2:14: mesh.data: must be >= 1 or -1 (got 0)",
    ]


def test_check_sets_fields(fgspec, spec):
    assert fgspec("check", spec(GOOD), "--set", "seed=3", "--set", "rule=bp")[0] == 0
    code, _, err = fgspec("check", spec(GOOD), "--set", "seed=-1")
    assert (code, err) == (2, "--set: seed: must be >= 0 (got -1)\n")


def test_check_places_what_is_wrong_with_an_archive(fgspec, spec):
    source = "data:\n  source: {type: npz, path: nothing.npz}\nmesh: {data: 3}\n"
    code, _, err = fgspec("check", spec(GOOD + source))
    assert code == 2
    assert "a.yaml:6:29: data.source.path: nothing.npz was not found" in err.splitlines()[0]
    assert "a.yaml:7:14: mesh.data: must divide" in err


def test_show_prints_a_spec(fgspec):
    code, out, err = fgspec("show", QUICKSTART, "--set", "seed=9")
    assert (code, err) == (0, "")
    assert out.startswith("# sha256 ")
    assert loads(out).values() == load(ROOT / QUICKSTART, ["seed=9"]).values()


def test_diff_of_the_same(fgspec, spec):
    assert fgspec("diff", QUICKSTART, QUICKSTART) == (0, "no field differs\n", "")
    code, out, _ = fgspec("diff", "--json", QUICKSTART, QUICKSTART)
    found = json.loads(out)
    assert code == 0
    assert found["fields"] == found["consequences"] == []
    assert found["sha256"]["a"] == found["sha256"]["b"]
    spelled = spec("# said again\n" + GOOD + "seed: 0\n")
    code, out, _ = fgspec("diff", spec(GOOD, "b.yaml"), spelled)
    assert (code, out) == (0, "no field differs\nequal, but written in one spec only: seed\n")


def test_check_knows_sweeps(fgspec):
    path = "specs/sweeps/rules.yaml"
    told = f"{path}: ok (rules, 6 arms)\nnext: fgspec sweep {path}\n"
    assert fgspec("check", path) == (0, told, "")
    code, _, err = fgspec("check", path, "--set", "data.batch_size=9999")
    line = "data.batch_size: must be at most the 1437 training examples of digits (got 9999)"
    assert (code, err) == (2, f"--set: {line}\n")


def test_diff_of_two_specs(fgspec):
    code, out, err = fgspec("diff", "--fields", QUICKSTART, BP)
    assert (code, err) == (1, "")
    assert "gradient.target\n  - local  (rule lg-fg-a (" in out
    assert "  + null  (rule bp (" in out
    code, out, _ = fgspec("diff", "--fields", "--json", QUICKSTART, BP)
    fields = {field["field"]: field for field in json.loads(out)["fields"]}
    assert code == 1
    assert fields["gradient.target"]["b"]["value"] == "global"
    assert fields["gradient.perturbation"]["a"]["value"]["space"] == "activation"
    assert fields["gradient.perturbation"]["b"]["value"] is None


def test_diff_tells_consequences(fgspec, tmp_path):
    page = tmp_path / "page.html"
    changes = ("--set", "optimizer.learning_rate=0.5", "--set", "name=<other>")
    assert fgspec("diff", QUICKSTART, *changes)[0] == 2  # no such name
    changes = (*changes[:2], "--set", "description=<b>other</b>")
    code, out, err = fgspec("diff", QUICKSTART, *changes, "--html", page)
    assert (code, err) == (1, "")
    told = dict(re.split("  +", line, maxsplit=1) for line in out.split("\n\n")[1].splitlines())
    assert told.pop("optimizer step") == "changed: blocks, classifier, heads"
    assert told.pop("cost of a step") == "identical"
    assert all(re.fullmatch(r"identical \(all \d+\)", text) for text in told.values())
    assert len(told) == 8
    text = page.read_text()
    ET.fromstring(text.split("\n", 1)[1])
    assert "&lt;b&gt;other&lt;/b&gt;" in text
    assert "<script" not in text
    # Nothing is fetched: the only address is the name of SVG's own language.
    assert set(re.findall(r"https?://[^\"']*", text)) <= {"http://www.w3.org/2000/svg"}
    code, _, err = fgspec("diff", QUICKSTART, *changes, "--html", page / "page.html")
    assert code == 2
    assert "cannot be written" in err


def test_consequences_that_a_contract_does_not_tell_are_refused(fgspec, spec):
    spec(GOOD, "base.yaml")
    arm = "extends: base.yaml\nname: b\noptimizer: {type: sgd, learning_rate: 0.5}\nablation:\n"
    arm += "  base: base.yaml\n  changes: [optimizer]\n  touches: [update]\n"
    told = spec(arm.replace("update", "optimizer"), "told.yaml")
    untold = spec(arm, "untold.yaml")
    assert fgspec("check", told)[0] == 0
    assert fgspec("diff", told.parent / "base.yaml", told)[0] == 1
    for verb in (["check"], ["plan"], ["train"], ["diff", told.parent / "base.yaml"]):
        code, _, err = fgspec(*verb, untold)
        assert code == 2
        assert err.startswith(f"{untold}:7:12: ablation.touches: does not list optimizer, but")


def test_schema_is_printed_or_written(fgspec, tmp_path):
    code, out, _ = fgspec("schema")
    assert (code, json.loads(out)) == (0, language_schema())
    target = tmp_path / "s.json"
    code, out, _ = fgspec("schema", "--out", target)
    assert code == 0
    assert out.splitlines()[-1] == "# yaml-language-server: $schema=s.json"
    assert json.loads(target.read_text()) == language_schema()


@pytest.mark.parametrize("rule", RULES.names())
def test_init_writes_a_spec_for_every_rule(fgspec, tmp_path, rule):
    target = tmp_path / "my first.yaml"
    assert fgspec("init", target, "--rule", rule)[0] == 0
    assert load(target).experiment.name == "my-first"
    assert fgspec("check", target)[0] == 0


def test_init_writes_once(fgspec, tmp_path):
    target = tmp_path / "x.yaml"
    assert fgspec("init", target)[0] == 0
    assert fgspec("check", target)[0] == 0
    text = target.read_text()
    code, _, err = fgspec("init", target, "--rule", "bp")
    assert (code, err) == (
        2,
        f"init: {target}: is there already, and was left as it is; give another file name\n",
    )
    assert target.read_text() == text


@pytest.mark.parametrize("name", ["a" * 200 + ".yaml", ".hidden.yaml", "é.yaml", "x"])
def test_init_names_any_file(fgspec, tmp_path, name):
    assert fgspec("init", tmp_path / name)[0] == 0
    assert fgspec("check", tmp_path / name)[0] == 0


def test_init_refuses_what_cannot_be_written(fgspec, tmp_path):
    assert fgspec("init", tmp_path)[0] == 2
    assert fgspec("init", tmp_path / "no" / "x.yaml")[0] == 2
    assert fgspec("init", tmp_path / ("a" * 300))[0] == 2
    code, _, err = fgspec("init", tmp_path / "x.yaml", "--rule", "lg-fga")
    assert (code, err) == (2, "--rule: no such rule; did you mean lg-fg-a? (got lg-fga)\n")
    assert list(tmp_path.iterdir()) == []


def test_schema_refuses_what_cannot_be_written(fgspec, tmp_path):
    assert fgspec("schema", "--out", tmp_path)[0] == 2
    (tmp_path / "file").touch()
    assert fgspec("schema", "--out", tmp_path / "file" / "s.json")[0] == 2


def test_the_quickstart_is_the_template():
    expected = quickstart("lg-fg-a", "quickstart", QUICKSTART)
    assert (ROOT / QUICKSTART).read_text() == expected


BAD_FILES = {
    "missing": None,
    "empty": b"",
    "binary": bytes(range(256)),
    "archive": b"PK\x03\x04" + bytes(100),
    "latin": "name: café\n".encode("latin-1"),
    "large": b"a" * (2 << 20),
    "deep": b"[" * 5000,
    "list": b"- 1\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("verb", ["check", "show", "diff"])
def test_files_that_are_no_specs(fgspec, spec, tmp_path, verb, name):
    content = BAD_FILES[name]
    path = tmp_path / "missing.yaml" if content is None else spec(content)
    code, out, err = fgspec(verb, path, *([QUICKSTART] if verb == "diff" else []))
    assert (code, out) == (2, "")
    assert err.startswith(f"{path}:")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["check", "show", "diff"])
def test_a_folder_is_no_spec(fgspec, verb):
    code, _, err = fgspec(verb, "specs", *([QUICKSTART] if verb == "diff" else []))
    assert code == 2
    assert err.startswith("specs:1:1: This is a directory")


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc", QUICKSTART],
        ["check"],
        ["check", QUICKSTART, "--set"],
        ["check", QUICKSTART, "--set", "seed"],
        ["check", QUICKSTART, "--ste", "seed=1"],
        ["show"],
        ["show", QUICKSTART, BP],
        ["show", QUICKSTART, "--json"],
        ["diff", QUICKSTART],
        ["diff", QUICKSTART, BP, BP],
        ["diff", QUICKSTART, BP, "--fields", "--probe"],
        ["init", "a", "b"],
        ["schema", "a"],
    ],
    ids=" ".join,
)
def test_bad_arguments(fgspec, arguments):
    code, out, err = fgspec(*arguments)
    assert (code, out) == (2, "")
    assert err


@pytest.mark.parametrize("verb", ["check", "show", "diff", "schema", "init"])
def test_help_has_an_example(fgspec, verb):
    code, out, _ = fgspec(verb, "--help")
    assert code == 0
    assert f"Example: fgspec {verb}" in out


def test_as_a_process_without_jax():
    program = (
        "import sys; from fgspec.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, "check", QUICKSTART, "--set", "seed=-1"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (2, "--set: seed: must be >= 0 (got -1)\n")
    assert "jax" not in done.stdout.split()


def _piped(text):
    """A path that can be read once, as a shell's <(...) is."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return f"/dev/fd/{reading}"


def test_a_spec_through_a_pipe_is_the_spec(fgspec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = fgspec("check", _piped(GOOD))
    assert (code, out.split(" ", 1)[1]) == (0, fgspec("check", _piped(GOOD))[1].split(" ", 1)[1])
    assert fgspec("diff", "--fields", pipe := _piped(GOOD), pipe, "--set", "seed=1")[0] == 1
    assert load(_piped(GOOD)).text == GOOD
    Path("base.yaml").write_text(GOOD)
    code, out, _ = fgspec(
        "check", _piped("{fgspec: 1, name: s, base: base.yaml, grid: {seed: []}}")
    )
    assert code == 2
    code, out, _ = fgspec("check", _piped("{fgspec: 1, name: s, base: base.yaml, seeds: [0, 1]}"))
    assert (code, out.endswith("ok (s, 1 arm)\n")) == (0, True)
    code, _, err = fgspec("launch", _piped(GOOD))
    assert (code, err.count("\n"), "is a pipe" in err) == (2, 1, True)


def test_files_may_have_an_equals_sign_in_their_names(fgspec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1").write_text(GOOD)
    Path("a.yaml").write_text(GOOD)
    assert fgspec("check", "a.yaml", "lr=0.1")[0] == 0


@pytest.mark.parametrize("verb", ["check", "eval", "status", "report", "init"])
@pytest.mark.parametrize("name", ["a\nb.yaml", "a\x1b[31m", "\r.yaml"])
def test_names_that_no_line_can_show_are_refused_in_one(fgspec, verb, name):
    code, _, err = fgspec(verb, name)
    assert (code, err.count("\n")) == (2, 1)
    assert "must not contain a line break or another control character" in err
    assert name not in err


def test_names_that_are_no_utf8_are_files_like_others(fgspec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"\xe9.yaml")
    assert fgspec("check", name)[2].startswith("\\udce9.yaml:1:1: There is no such file")
    Path(name).write_text(GOOD)
    assert fgspec("check", name)[0] == 0
    # What is recorded of it can be written, and read back.
    shown = fgspec("show", name)[1]
    assert "\\udce9.yaml:" in shown
    shown.encode()
    assert loads(shown).values() == load(name).values()


@pytest.mark.parametrize("setting", ["\udce9.x=1", "x\udce9=1", "name=\udce9", "a.\udce9.b=[1]"])
def test_settings_that_are_no_utf8_are_told(fgspec, spec, setting):
    code, _, err = fgspec("check", spec(GOOD), "--set", setting)
    assert (code, err.count("\n"), err.startswith("--set: ")) == (2, 1, True)


def test_text_that_a_terminal_lacks_is_shown_by_its_numbers(fgspec, spec, monkeypatch):
    one, other = spec(GOOD), spec(GOOD + "description: 日本\n", "ä.yaml")
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    fgspec("diff", "--fields", one, other)
    stream.flush()
    shown = stream.buffer.getvalue()
    assert b"\\xe4.yaml" in shown
    assert b"description" in shown


@pytest.mark.parametrize(
    ("sets", "line"),
    [
        (["compile.blocks=scanned"], "compile.blocks: no two equal blocks follow each other"),
        (
            [
                "rule=fg-a",
                "gradient.perturbation.samples=5000",
                "gradient.perturbation.guess={type: normal, set: orthogonal}",
            ],
            "gradient.perturbation.samples: at most ",
        ),
    ],
)
def test_what_only_a_plan_can_tell_is_told_by_check(fgspec, spec, sets, line):
    bp = ["--set", "rule=bp"] if len(sets) == 1 else []
    settings = [word for one in sets for word in ("--set", one)]
    code, _, err = fgspec("check", spec(GOOD), *bp, *settings)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(f"--set: {line}")


@pytest.mark.parametrize("file", ["a.yaml/x", "."])
@pytest.mark.parametrize(
    "words",
    [
        ["data", "check", "a.yaml", "--sheet"],
        ["diff", "a.yaml", "--set", "seed=1", "--html"],
        ["explain", "a.yaml", "--latex"],
        ["explain", "a.yaml", "--markdown"],
        ["explain", "a.yaml", "--picture"],
        ["init"],
        ["plan", "a.yaml", "--picture"],
        ["schema", "--out"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_written_is_told_before_it_is_computed(
    fgspec, tmp_path, monkeypatch, words, file
):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("not even read")
    Path("x.png").mkdir()
    if words[-1] == "--sheet":
        file = {"a.yaml/x": "a.yaml/x.png", ".": "x.png"}[file]
    code, _, err = fgspec(*words, file)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(f"{' '.join(words[: 1 + (words[0] == 'data')])}: "), err
    assert err.rstrip().endswith(
        (
            "add a file name to it",
            "choose another folder or file name",
            "choose another one",
            "give another file name",
        )
    ), err
    assert Path("a.yaml").read_text() == "not even read"
