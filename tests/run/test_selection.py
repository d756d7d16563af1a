"""Runs that end early and keep their best checkpoint, stopped and resumed or not."""

from pathlib import Path

import pytest
import runs

import fgspec
from fgspec import api
from fgspec.training.checkpoint import best
from fgspec.training.loop import Preempted, Timetable
from fgspec.training.run_folder import RunDir, began_as, reopen
from fgspec.training.selection import Watch
from fgspec.training.steps import steps_in

SET = (
    "training.steps=40",
    "training.evaluate_every.steps=2",
    "training.log_every.steps=5",
    "checkpoint={every: {steps: 3}, keep: 1, best: true}",
    "optimizer.schedule.type=constant",
    "optimizer.accumulate=2",
    "optimizer.average={decay: 0.5}",
    "optimizer.clip=block_norm",
)
PATIENT = "training.stop_early={patience: {steps: 8}, min_change: 0.05}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    spec = fgspec.load(runs.write_spec(folder), [*SET, PATIENT])
    return fgspec.train(spec, run=folder / "run")


def evaluations(run):
    return {line["step"]: line["test/error"] for line in runs.lines(run) if "test/error" in line}


def test_a_run_ends_once_patience_is_out(undisturbed):
    run = Path(undisturbed["run"])
    errors = evaluations(run)
    since, low = min(errors), errors[min(errors)]
    for step, error in errors.items():
        if low - error > 0.05:
            since, low = step, error
    assert undisturbed["status"] == "done"
    assert undisturbed["stopped_early"]
    assert undisturbed["step"] == max(errors) == since + 8 < 40
    # The lines of what was open: the mean over the steps since the last line.
    assert runs.lines(run)[-1]["step"] == undisturbed["step"]
    assert "train/loss" in runs.lines(run)[-1]


def test_validation_ends_a_run_and_the_test_set_is_read_once_there(tmp_path):
    spec = fgspec.load(runs.write_spec(tmp_path), [*SET, PATIENT, "data.validation.examples=150"])
    summary = fgspec.train(spec, run=tmp_path / "run")
    assert summary["stopped_early"]
    assert summary["best"]["metric"] == "valid/error"
    tested = [line["step"] for line in runs.lines(tmp_path / "run") if "test/error" in line]
    assert tested == [summary["step"]]
    assert fgspec.restore(tmp_path / "run", step="best").step == summary["best"]["step"]


def test_the_best_checkpoint_stays(undisturbed):
    run = Path(undisturbed["run"])
    errors = evaluations(run)
    first = min(errors, key=lambda step: (errors[step], step))
    mark = {"step": first, "metric": "test/error", "value": errors[first]}
    assert undisturbed["best"] == mark
    assert first < undisturbed["step"], "choose another length: the best is the newest"
    assert steps_in(run / "checkpoints") == [first, undisturbed["step"]]
    _, loaded = reopen(run)
    program = api.compile(loaded)
    found = RunDir(run)
    restored = best(found.checkpoints, began_as(found, loaded), program.abstract())
    assert restored is not None
    assert restored.step == first
    dataset = api._with_data(loaded)[1]
    batch = {"image": dataset.test_images, "label": dataset.test_labels}
    sums = program.evaluate(restored.state, batch)
    assert float(sums["error"]) / len(dataset.test_labels) == pytest.approx(errors[first])


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(undisturbed, tmp_path, monkeypatch):
    spec = fgspec.load(runs.write_spec(tmp_path), [*SET, PATIENT])
    runs.stop_after(monkeypatch, 7)
    with pytest.raises(Preempted, match="stopped at step 5 of"):  # between two batches of a step
        fgspec.train(spec, run=tmp_path / "run")
    monkeypatch.undo()
    summary = fgspec.train(resume=tmp_path / "run")
    assert runs.lines(tmp_path / "run") == runs.lines(Path(undisturbed["run"]))
    assert {k: summary[k] for k in ("step", "best")} == {
        k: undisturbed[k] for k in ("step", "best")
    }
    again = fgspec.train(resume=tmp_path / "run")
    assert again["step"] == summary["step"], "a run that has ended ends again"


@pytest.mark.parametrize(
    ("lower", "values", "ends"),
    [
        (True, [5, 4, 4, 4, 1], 8),  # equal is not better, so the best is at 4
        (False, [1, 2, 3, 2, 2], 10),  # better at 6
        (True, [9, 8.95, 8.9, 8], 6),  # by less than 0.1 at a time, from the first
        (True, [5, 4, 3, 2, 1], None),
    ],
)
def test_patience_counts_from_the_best(lower, values, ends):
    """An evaluation every 2 steps."""
    watch = Watch("eval/x", lower, 0.1)
    timetable = Timetable(100, 1, 2, 1, 1, progress=watch, patience=4)
    marks, found = {}, None
    for step in range(1, 2 * len(values) + 1):
        metrics = {} if step % 2 else {"eval/x": values[step // 2 - 1]}
        marks = timetable.marks(marks, step, metrics)
        if found is None and timetable.over(step, marks):
            found = step
    assert found == ends


def test_another_metric_begins_anew():
    mark = Watch("test/loss", True).after(None, 2, {"test/loss": 0.5})
    assert Watch("test/error", True).after(mark, 4, {"test/loss": 0.1}) is None
