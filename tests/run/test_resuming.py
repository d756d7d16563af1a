"""Going on with a run under another spec: longer, as a fork, or not at all; with its own data."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import runs

import fgspec
from fgspec.cli.schema_ import language_schema
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import load
from fgspec.spec.base import RESUME, Resume, Section
from fgspec.spec.experiment import Experiment, SpecFile
from fgspec.spec.kinds import Kind
from fgspec.spec.language import models_of, on_resume
from fgspec.spec.sweep import SweepFile
from fgspec.training import loop
from fgspec.training.logbook import read
from fgspec.training.loop import Preempted
from fgspec.training.records import read_record, write_record
from fgspec.training.resuming import compared
from fgspec.training.run_folder import RunDir, reopen

LENGTH = 40
"""Updates of the longer runs: three epochs and a part of a fourth."""


def trained(folder, *overrides, rule="lg-fg-a", optimizer="sgd", schedule="constant", **asked):
    spec = load(
        runs.write_spec(folder, rule, optimizer, LENGTH),
        [f"optimizer.schedule={{type: {schedule}}}", *overrides],
    )
    return Path(fgspec.train(spec, run_dir=folder / "runs", **asked)["run"])


def copied(run, folder):
    return Path(shutil.copytree(run, folder / run.name))


def provenance(run):
    return read_record(run / "provenance.json")


def bits(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was asked for the whole length from the start."""
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The same run, asked for an end that is in no interval of it."""
    return trained(tmp_path_factory.mktemp("short"), "training.steps=25")


# Logged every 7, evaluated every 10, saved every 6: 21 is in one of these intervals, 25 in none.
@pytest.mark.parametrize("ends", [[25], [21], [8, 25]])
def test_a_longer_run_equals_one_that_was_asked_for_that_length(whole, tmp_path, ends):
    run = trained(tmp_path, f"training.steps={ends[0]}")
    for end in [*ends[1:], LENGTH]:
        summary = fgspec.train(resume=run, overrides=[f"training.steps={end}"])
        assert (summary["status"], summary["step"]) == ("done", end)
    assert runs.final_state(run).step == LENGTH
    assert bits(runs.final_state(run).state) == bits(runs.final_state(whole).state)
    expected, found = runs.lines(whole), runs.lines(run)
    assert [line for line in found if line in expected] == expected
    assert {line["step"] for line in found if line not in expected} <= set(ends)


def test_the_state_of_an_optimizer_goes_on_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    at_once = trained(tmp_path / "a", "training.steps=17", rule="bp", optimizer="adam")
    run = trained(tmp_path / "b", "training.steps=9", rule="bp", optimizer="adam")
    fgspec.train(resume=run, overrides=["training.steps=17"])
    assert bits(runs.final_state(run).state) == bits(runs.final_state(at_once).state)


def test_a_longer_run_that_is_stopped_on_the_way_equals_it_too(whole, short, tmp_path, monkeypatch):
    run = copied(short, tmp_path)
    runs.stop_after(monkeypatch, 3)
    with pytest.raises(Preempted):
        fgspec.train(resume=run, overrides=[f"training.steps={LENGTH}"])
    monkeypatch.undo()
    fgspec.train(resume=run)
    assert bits(runs.final_state(run).state) == bits(runs.final_state(whole).state)
    assert len(provenance(run)["changes"]) == 1


def test_what_changed_is_recorded_and_nothing_of_the_old_record_is_lost(short, tmp_path, fgspec):
    run = copied(short, tmp_path)
    began, summary, text = (
        provenance(run),
        read_record(run / "summary.json"),
        (run / "resolved.yaml").read_text(),
    )
    code, out, err = fgspec("train", "--resume", run, "--set", f"training.steps={LENGTH}")
    assert code == 0, err
    assert f"changed: training.steps: run 25, spec {LENGTH} (--set)" in out
    now = provenance(run)
    assert {key: now[key] for key in began} == began
    (change,) = now["changes"]
    assert (change["step"], change["summary"]) == (25, summary)
    assert change["fields"] == [
        {"field": "training.steps", "from": 25, "to": LENGTH, "by": "--set"}
    ]
    assert {"when", "who", "host", "command"} < change.keys()
    kept = RunDir(run).resolved_before(change["spec"]["before"])
    assert kept.read_text() == text
    assert change["spec"] == {
        "before": spec_hash(load(kept)),
        "after": spec_hash(load(run / "resolved.yaml")),
    }
    ended = read_record(run / "summary.json")
    assert ended["step"] == LENGTH
    code, out, err = fgspec("eval", run, "--json")
    assert code == 0, err
    assert json.loads(out)["test/loss"] == ended["metrics"]["test/loss"]
    code, out, err = fgspec("report", run, "--out", tmp_path / "report")
    assert code == 0, err
    code, out, err = fgspec("diff", kept, run / "resolved.yaml")
    assert code == 1
    assert "training.steps" in out


def test_a_longer_run_is_compared_with_those_of_its_length(whole, short, tmp_path):
    """What it went on with that decides no number does not count, its length does."""
    run = copied(short, tmp_path)
    changes = [f"training.steps={LENGTH}", "checkpoint.keep=1", "training.log_every={steps: 3}"]
    fgspec.train(resume=run, overrides=changes)
    of_longer, of_whole, of_short = (
        compared(RunDir(path), reopen(path)[1]) for path in (run, whole, short)
    )
    assert of_longer == of_whole
    assert of_longer != of_short


def test_a_run_that_is_being_made_longer_is_not_done(short, tmp_path, monkeypatch):
    run, seen = copied(short, tmp_path), []
    monkeypatch.setattr(loop, "train", lambda *_: seen.append((run / "summary.json").exists()))
    fgspec.train(resume=run, overrides=["training.steps=40"])
    assert seen == [False]


def test_a_change_that_was_cut_off_is_none(short, tmp_path, monkeypatch):
    """Killed between the record and the spec: the run is what it was, and can be changed again."""
    run = copied(short, tmp_path)
    text = (run / "resolved.yaml").read_text()
    fgspec.train(resume=run, overrides=["checkpoint.keep=1"])
    (run / "resolved.yaml").write_text(text)
    fgspec.train(resume=run, overrides=["training.steps=28"])
    (change,) = provenance(run)["changes"]
    assert [one["field"] for one in change["fields"]] == ["training.steps"]
    assert reopen(run)[1].experiment.checkpoint.keep == 2


@pytest.mark.parametrize("schedule", ["linear", "warmup_cosine"])
def test_a_rate_that_depends_on_the_length_asks_for_a_fork(tmp_path, schedule, fgspec):
    schedule = f"{schedule}, warmup_epochs: 1" if schedule == "warmup_cosine" else schedule
    run = trained(tmp_path, "training.steps=24", schedule=schedule)
    code, _, err = fgspec("train", "--resume", run, "--set", "training.steps=40")
    assert code == 3
    assert f"{run}: cannot be resumed with training.steps: 40 instead of training.steps: 24" in err
    assert "at step 24 it would be" in err
    assert "instead of 0," in err
    assert "--fork" in err
    assert "changes" not in provenance(run)
    code, _, err = fgspec("train", "--resume", run, "--set", "checkpoint.keep=1")
    assert code == 0, err


def test_a_rate_that_does_not_depend_on_the_length_needs_no_fork(tmp_path):
    run = trained(tmp_path, "training.steps=12", schedule="staircase, every_epochs: 1")
    assert fgspec.train(resume=run, overrides=["training.steps=24"])["step"] == 24


def test_a_length_that_is_over_is_refused(short):
    with pytest.raises(fgspec.ResumeError, match="is already at step 25") as refused:
        fgspec.train(resume=short, overrides=["training.steps=24"])
    assert "ends at step 24" in str(refused.value)


def test_fields_that_make_a_fork_say_so(short, fgspec):
    changes = ["--set", "optimizer.learning_rate=0.01"]
    code, _, err = fgspec("train", "--resume", short, *changes)
    assert code == 3
    assert "optimizer.learning_rate: run 0.05, spec 0.01 (--set): makes a fork" in err
    assert "add --fork" in err
    code, _, err = fgspec("train", "--resume", short, *changes, "--set", "architecture.channels=32")
    assert code == 3
    assert "architecture.channels: run 16, spec 32 (--set): fixed" in err
    assert "start a new run" in err
    code, _, err = fgspec("train", "--fork", "specs/quickstart.yaml")
    assert code == 2
    assert "--resume RUN" in err


def test_a_fork_that_changes_nothing_goes_on_as_its_parent(whole, tmp_path, monkeypatch):
    runs.stop_after(monkeypatch, 13)
    with pytest.raises(Preempted):
        trained(tmp_path)
    monkeypatch.undo()
    (parent,) = (tmp_path / "runs" / "small").iterdir()
    before = {path: path.read_bytes() for path in parent.rglob("*") if path.is_file()}
    fork = Path(fgspec.train(resume=parent, fork=True, run_dir=tmp_path / "forks")["run"])
    assert fork != parent
    assert bits(runs.final_state(fork).state) == bits(runs.final_state(whole).state)
    assert {path: path.read_bytes() for path in parent.rglob("*") if path.is_file()} == before
    assert fgspec.evaluate(fork)["step"] == LENGTH


def test_a_fork_records_where_it_comes_from(short, tmp_path, fgspec):
    arguments = ("train", "--resume", short, "--fork", "--run", tmp_path / "fork")
    changes = ("--set", "optimizer.learning_rate=0.01", "--set", "training.steps=30")
    code, _, err = fgspec(*arguments, *changes)
    assert code == 0, err
    fork, parent = provenance(tmp_path / "fork"), provenance(short)
    lineage = fork["lineage"]
    assert (lineage["parent"], lineage["step"]) == (str(short.resolve()), 25)
    assert lineage["parent_hashes"] == parent["hashes"] | {"resolved": parent["hashes"]["spec"]}
    assert {one["field"]: (one["from"], one["to"]) for one in lineage["fields"]} == {
        "optimizer.learning_rate": (0.05, 0.01),
        "training.steps": (25, 30),
    }
    assert fork["hashes"]["spec"] == spec_hash(load(tmp_path / "fork" / "resolved.yaml"))
    assert {line["step"] for line in read(tmp_path / "fork" / "metrics.jsonl")} == {28, 30}
    # The same command goes on with what it began; another parent's fork does not fit there.
    code, _, err = fgspec(*arguments, *changes)
    assert code == 0, err
    other = copied(short, tmp_path)
    code, _, err = fgspec("train", "--resume", other, "--fork", "--run", tmp_path / "fork")
    assert code == 3
    assert f"not a fork of {other}" in err


def test_a_fork_whose_state_does_not_fit_is_refused_with_its_fields(short, tmp_path):
    for changes, fields in [
        (["architecture.channels=32", "seed=4"], ["architecture.channels", "seed"]),
        (["optimizer={type: adam}"], ["optimizer.type", "do not fit"]),
    ]:
        with pytest.raises(fgspec.ResumeError, match="cannot be forked") as refused:
            fgspec.train(resume=short, fork=True, overrides=changes, run_dir=tmp_path)
        assert all(field in str(refused.value) for field in fields)
    with pytest.raises(fgspec.ResumeError, match="is already at step 25"):
        fgspec.train(resume=short, fork=True, run_dir=tmp_path)


def save_images(file, classes=3, test_label=0):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (60, 8, 8, 1), np.uint8), np.arange(60) % classes
    test = labels[:12].copy()
    test[0] = test_label
    parts = {"train_images": images, "train_labels": labels}
    np.savez(file, test_images=images[:12], test_labels=test, **parts)


@pytest.fixture
def own_images(tmp_path, monkeypatch):
    """A folder with images of one's own, and a run on them that names the file without a folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save_images("data.npz")
    return tmp_path


SMALL = ("data.source={type: npz, path: data.npz}", "data.batch_size=20", "training.steps=4")


def test_evaluation_compares_the_data(own_images, fgspec):
    run = trained(own_images, *SMALL)
    expected = fgspec("eval", run)
    save_images("data.npz", test_label=2)
    code, _, err = fgspec("eval", run)
    assert code == 3
    assert "path: data.npz" in err
    assert "differ from those of the run: test_labels (" in err
    assert "--other-data" in err
    code, out, _ = fgspec("eval", run, "--other-data")
    assert code == 0
    assert out != expected[1]
    save_images("moved.npz")
    assert fgspec("eval", run, "--set", "data.source.path=moved.npz") == expected
    code, _, err = fgspec("eval", run, "--set", "seed=4")
    assert code == 2
    assert "seed: run 3, spec 4 (--set): this field is fixed" in err
    save_images("data.npz")
    assert fgspec("eval", run) == expected


def test_a_relative_path_is_that_of_where_the_run_began(own_images, monkeypatch, fgspec):
    run = trained(own_images, *SMALL)
    expected = fgspec("eval", run)
    monkeypatch.chdir(own_images / "there")
    save_images("data.npz", test_label=2)
    assert fgspec("eval", run) == expected
    assert fgspec("train", "--resume", run, "--set", "training.steps=6")[0] == 0
    # A path that is given now is relative to here; its contents are compared.
    moved = ("train", "--resume", run, "--set", "data.source.path=moved.npz")
    save_images("moved.npz", test_label=2)
    assert fgspec(*moved)[0] == 3
    save_images("moved.npz")
    code, _, err = fgspec(*moved)
    assert code == 0, err
    monkeypatch.chdir(own_images)
    assert fgspec("eval", run)[0] == 0


def test_a_run_without_a_checkpoint_does_not_begin_again_on_other_data(own_images):
    run = trained(own_images, *SMALL)
    shutil.rmtree(run / "checkpoints")
    (run / "summary.json").unlink()
    (run / "metrics.jsonl").unlink()
    save_images("data.npz", test_label=2)
    with pytest.raises(fgspec.ResumeError, match="those of the run: test_labels"):
        fgspec.train(resume=run)
    save_images("data.npz")
    assert fgspec.train(resume=run)["status"] == "done"


def test_a_fork_on_other_data_says_so_by_a_field(own_images, fgspec):
    run = trained(own_images, *SMALL)
    fork = ("train", "--resume", run, "--fork", "--set", "training.steps=6")
    save_images("data.npz", test_label=2)
    code, _, err = fgspec(*fork)
    assert code == 3
    assert "data.source.path=PATH" in err
    save_images("other.npz", test_label=2)
    code, _, err = fgspec(*fork, "--set", "data.source.path=other.npz")
    assert code == 0, err


def test_an_old_run_without_a_record_of_its_data_is_evaluated_with_a_note(
    own_images, caplog, fgspec
):
    run = trained(own_images, *SMALL)
    expected = fgspec("eval", run)[1]
    shown = provenance(run)
    del shown["data"]
    write_record(run / "provenance.json", shown)
    assert fgspec("eval", run)[1] == expected
    save_images("data.npz", test_label=2)
    code, _, err = fgspec("eval", run)
    assert code == 3
    assert "contents, order or batches" in err


POLICIES = {str(one) for one in Resume}


def _models():
    left, seen = [SpecFile], []
    while left:
        model = left.pop()
        if model not in seen:
            seen.append(model)
            left += models_of(model.model_fields.values(), None)
    return seen


def test_every_field_says_what_holds_when_a_run_is_resumed():
    schema = language_schema()
    sections = {"the file": schema} | schema["$defs"]
    for name, section in sections.items():
        for key, field in section["properties"].items():
            assert field.get(RESUME) in POLICIES, f"{name}.{key}"
            assert "\n\nOn resume: " in field["description"], f"{name}.{key}"


@pytest.mark.parametrize("model", _models(), ids=lambda model: model.__name__)
def test_every_class_of_the_language_states_it(model):
    """What holds by default, where nothing is said, is for sections of packages."""
    said = next(base for base in model.__mro__ if "on_resume" in vars(base))
    assert said not in (Section, Kind)


def test_no_field_of_a_sweep_states_it():
    assert all(SweepFile.field_on_resume(name) is None for name in SweepFile.model_fields)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("mesh", "data"), Resume.MAY_CHANGE),
        (("training", "trackers"), Resume.MAY_CHANGE),
        (("data", "source", "path"), Resume.MAY_CHANGE),
        (("data", "source", "train_labels"), Resume.FORKS),
        (("optimizer", "schedule", "type"), Resume.FORKS),
        (("losses", "local"), Resume.FIXED),
        (("losses", "local", "replicate"), Resume.FORKS),
        (("architecture", "normalization", "epsilon"), Resume.FIXED),
        (("architecture", "arguments", "width"), Resume.FIXED),
        (("compile", "precision"), Resume.FORKS),
        (("no", "such"), Resume.FIXED),
    ],
    ids=str,
)
def test_the_deepest_statement_on_a_path_holds(path, expected):
    values = {
        "data": {"source": {"type": "npz"}},
        "optimizer": {"type": "sgd", "schedule": {"type": "linear"}},
        "losses": {"local": {"every": 1}},
        "architecture": {"type": "local_mixer", "normalization": {"type": "none"}},
        "compile": {"precision": "float32"},
    }
    assert on_resume(Experiment, path, [values]) is expected
