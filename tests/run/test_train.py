"""One run from end to end: what it writes, and that a stop anywhere leaves no trace."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import runs
from rich.console import Console

import fgspec
import fgspec.api
from fgspec.loading import resolved
from fgspec.show.text import expectation
from fgspec.spec.run import Expect
from fgspec.training import run_folder as rundir
from fgspec.training.logbook import read
from fgspec.training.loop import Preempted

METRICS = {
    "train/loss",
    "train/error",
    "train/accuracy",
    "train/learning_rate",
    "test/loss",
    "test/error",
    "test/accuracy",
    "local_loss/block0",
    "local_loss/block1",
    "optim/grad_norm",
    "perf/step_time_s",
    "perf/examples_per_s",
    "data/wait_s",
}


def _only_run(folder):
    (run,) = (folder / "small").iterdir()
    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    summary = fgspec.train(runs.write_spec(folder), run_dir=folder)
    return Path(summary["run"])


def test_a_run_writes_what_it_should(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    assert names == {
        "spec.yaml",
        "resolved.yaml",
        "provenance.json",
        "metrics.jsonl",
        "summary.json",
        "checkpoints",
    }
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["step"] == 25
    assert set(summary["metrics"]) == METRICS
    last = {k: v for line in read(undisturbed / "metrics.jsonl") for k, v in line.items()}
    assert {k: v for k, v in last.items() if k != "step"} == summary["metrics"]
    assert 0 <= summary["metrics"]["test/error"] <= 1
    steps = [line["step"] for line in read(undisturbed / "metrics.jsonl")]
    assert steps == [7, 10, 14, 20, 21, 25]
    provenance = json.loads((undisturbed / "provenance.json").read_text())
    assert provenance["hashes"]["spec"].startswith(undisturbed.name.split("-")[1])
    assert provenance["seeds"] == {"seed": 3, "data": 3}
    assert "rule: lg-fg-a" in (undisturbed / "spec.yaml").read_text()


def test_batches_that_are_sent_train_as_examples_by_place_do(undisturbed, tmp_path):
    """One by one, where the other run picks as many a call as its intervals let it."""
    sent = fgspec.load(
        runs.write_spec(tmp_path), ["compile.input=host", "compile.steps_per_call=1"]
    )
    run = Path(fgspec.train(sent, run_dir=tmp_path)["run"])
    found, expected = (runs.final_state(one).state for one in (run, undisturbed))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for one, other in zip(runs.lines(run), runs.lines(undisturbed), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_training_learns(undisturbed):
    lines = read(undisturbed / "metrics.jsonl")
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < losses[0] - 0.05
    assert all(later < before + 0.01 for before, later in itertools.pairwise(losses))


# The tenth and eleventh question come during the evaluation of step 10 and after it.
@pytest.mark.parametrize("stops", [[6], [10, 1], [13, 5]])
def test_resumed_equals_uninterrupted(undisturbed, tmp_path, monkeypatch, stops):
    spec = runs.write_spec(tmp_path)
    for index, after in enumerate(stops):
        runs.stop_after(monkeypatch, after)
        resume = _only_run(tmp_path) if index else None
        with pytest.raises(Preempted, match="its state is saved"):
            fgspec.train(spec, run_dir=tmp_path, resume=resume)
    monkeypatch.undo()
    run = _only_run(tmp_path)
    assert json.loads((run / "summary.json").read_text())["status"] == "preempted"
    summary = fgspec.train(resume=run)
    assert summary["status"] == "done"
    runs.assert_same(run, undisturbed)


def test_a_run_that_is_older_than_a_field_is_gone_on_with(
    undisturbed, tmp_path, monkeypatch, capsys
):
    """Its record and its checkpoints are of a language without data.seed."""
    whole, text = resolved.identity, rundir.resolved_text

    def without(values, *more):
        data = {key: value for key, value in values["data"].items() if key != "seed"}
        return whole({**values, "data": data}, *more)

    def shorter(loaded):
        kept = [row for row in text(loaded).splitlines() if not row.startswith("  seed: null")]
        return "\n".join(kept) + "\n"

    monkeypatch.setattr(resolved, "identity", without)
    monkeypatch.setattr(rundir, "resolved_text", shorter)
    runs.stop_after(monkeypatch, 10)
    with pytest.raises(Preempted):
        fgspec.train(runs.write_spec(tmp_path), run_dir=tmp_path)
    monkeypatch.undo()
    run = _only_run(tmp_path)
    fgspec.train(resume=run, console=Console())
    assert (
        "note: this run is older than these fields, which have their defaults: data.seed\n"
        in capsys.readouterr().out
    )
    runs.assert_same(run, undisturbed)


@pytest.mark.parametrize("optimizer", ["adam", "lars"])
def test_moments_survive_a_stop(tmp_path, monkeypatch, optimizer):
    spec = runs.write_spec(tmp_path, "bp", optimizer, steps=12)
    whole = Path(fgspec.train(spec, run_dir=tmp_path / "whole")["run"])
    runs.stop_after(monkeypatch, 5)
    with pytest.raises(Preempted):
        fgspec.train(spec, run_dir=tmp_path)
    monkeypatch.undo()
    run = _only_run(tmp_path)
    fgspec.train(resume=run)
    runs.assert_same(run, whole)


def _start(folder, *arguments):
    command = [sys.executable, "-m", "fgspec.cli.main", "train", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _wait_for_lines(folder, count):
    """Wait until a run in `folder` has written so many lines of metrics."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = list(folder.glob("small/*/metrics.jsonl"))
        if found and len(found[0].read_text().splitlines()) >= count:
            return
        time.sleep(0.005)
    raise AssertionError("no progress in two minutes")


def test_kill_9_at_a_random_step_leaves_no_trace(tmp_path):
    spec = runs.write_spec(tmp_path, steps=300)
    whole = Path(fgspec.train(spec, run_dir=tmp_path / "whole")["run"])
    process = _start(tmp_path, spec, "--run-dir", tmp_path)
    _wait_for_lines(tmp_path, int(np.random.default_rng().integers(5, 40)))
    process.kill()
    process.communicate()
    run = _only_run(tmp_path)
    assert not (run / "summary.json").exists()
    resumed = _start(tmp_path, "--resume", run)
    output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, output
    runs.assert_same(run, whole)


def test_sigterm_saves_and_exits_75(tmp_path):
    spec = runs.write_spec(tmp_path, steps=100_000)
    process = _start(tmp_path, spec, "--run-dir", tmp_path)
    _wait_for_lines(tmp_path, 3)
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 75, output
    assert "its state is saved" in output
    assert "Traceback" not in output
    summary = json.loads((_only_run(tmp_path) / "summary.json").read_text())
    assert summary["status"] == "preempted"
    assert runs.final_state(_only_run(tmp_path)).step == summary["step"]


def test_evaluate_repeats_the_last_evaluation(undisturbed):
    values = fgspec.evaluate(undisturbed)
    last = read(undisturbed / "metrics.jsonl")[-1]
    assert values == {"step": 25} | {k: v for k, v in last.items() if k.startswith("test/")}


def test_another_spec_is_refused_with_the_fields_that_differ(undisturbed, tmp_path):
    other = fgspec.load(runs.write_spec(tmp_path), ["optimizer.learning_rate=0.1", "seed=4"])
    with pytest.raises(fgspec.ResumeError) as refused:
        fgspec.train(other, resume=undisturbed)
    assert "optimizer.learning_rate: run 0.05, spec 0.1 (--set)" in str(refused.value)
    assert "seed: run 3, spec 4 (--set)" in str(refused.value)


def test_a_changed_record_is_refused(undisturbed, tmp_path):
    copied = tmp_path / "run"
    subprocess.run(["cp", "-r", undisturbed, copied], check=True)
    resolved = copied / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    with pytest.raises(fgspec.ResumeError, match="was changed since the run started"):
        fgspec.train(resume=copied)
    with pytest.raises(fgspec.ResumeError, match="not a run"):
        fgspec.train(resume=tmp_path)


def test_a_finished_run_resumes_to_itself(undisturbed):
    before = (undisturbed / "metrics.jsonl").read_text()
    assert fgspec.train(resume=undisturbed)["status"] == "done"
    assert (undisturbed / "metrics.jsonl").read_text() == before


def test_divergence_ends_the_run_and_says_where(tmp_path):
    changes = ["optimizer.learning_rate=1e30", "architecture={type: mlp, hidden: [16, 16]}"]
    spec = fgspec.load(runs.write_spec(tmp_path, "bp"), changes)
    with pytest.raises(fgspec.RunError, match=r"step \d+: \S+ is (nan|inf)[,;]"):
        fgspec.train(spec, run_dir=tmp_path)
    summary = json.loads((_only_run(tmp_path) / "summary.json").read_text())
    assert summary["status"] == "failed"


def test_expectation_is_checked_at_the_end(tmp_path):
    changes = [
        "expect.metric=test/error",
        "expect.value=0.5",
        "expect.tolerance=0.5",
        "expect.source=a guess",
        "training.steps=3",
    ]
    summary = fgspec.train(fgspec.load(runs.write_spec(tmp_path), changes), run_dir=tmp_path)
    assert summary["expectation"]["within"] is True
    assert summary["expectation"]["measured"] == summary["metrics"]["test/error"]


def test_an_expectation_that_nobody_verified_says_so():
    fields = {"metric": "test/error", "value": 0.5, "tolerance": 0.1, "source": "a paper"}
    metrics = {"test/error": 0.45}
    for verified, source in (
        (None, "a paper"),
        (True, "a paper"),
        (False, "a paper; not verified"),
    ):
        expect = Expect(**fields, verified=verified)
        assert expectation(expect, metrics)["expectation"]["source"] == source


def test_another_data_set_is_refused(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)

    def save(pixel):
        images = rng.integers(0, 255, (300, 8, 8, 1), np.uint8)
        images[0, 0, 0] = pixel
        labels = np.arange(300) % 10
        parts = {"train_images": images, "train_labels": labels}
        np.savez("data.npz", test_images=images[:50], test_labels=labels[:50], **parts)

    rng = np.random.default_rng(0)
    save(1)
    spec = fgspec.load(runs.write_spec(tmp_path), ["data.source={type: npz, path: data.npz}"])
    runs.stop_after(monkeypatch, 3)
    with pytest.raises(Preempted):
        fgspec.train(spec, run_dir=tmp_path)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    save(2)
    with pytest.raises(fgspec.ResumeError, match="differ from those of the run"):
        fgspec.train(resume=_only_run(tmp_path))


def test_diagnostics_are_written_and_change_nothing(tmp_path, undisturbed):
    spec = runs.write_spec(tmp_path)
    spec.write_text(
        spec.read_text() + "diagnostics: {every: {steps: 10}, samples: 2, noise_scale: 2}\n"
    )
    run = Path(fgspec.train(spec, run_dir=tmp_path)["run"])
    measured = {
        line["step"]: line for line in read(run / "metrics.jsonl") if "fg/snr/block0" in line
    }
    assert list(measured) == [10, 20, 25]
    for line in measured.values():
        assert -1 <= line["fg/cosine/block1"] <= 1
        assert 0 <= line["local_accuracy/block0"] <= 1
        assert line["fg/norm_ratio/block0"] > 0
        assert line["fg/example_variance"] > 0
        assert ("fg/noise_scale" in line) == (line["fg/squared_norm"] > 0)
    for x, y in zip(
        jax.tree.leaves(runs.final_state(run).state),
        jax.tree.leaves(runs.final_state(undisturbed).state),
        strict=True,
    ):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
