"""Trackers receive what the logbook does, survive a stop, and never end a run."""

import csv
import io
import math
from pathlib import Path

import pytest
import runs
from rich.console import Console

import fgspec
from fgspec.loading.resolved import identity, resolved_text, spec_hash, whole_identity
from fgspec.loading.spec_file import load, tracked
from fgspec.spec import trackers
from fgspec.spec.trackers import Csv
from fgspec.training import csv_file
from fgspec.training.following import Followers
from fgspec.training.logbook import read
from fgspec.training.loop import Preempted
from fgspec.training.records import read_record, write_record
from fgspec.training.run_folder import reopen

CSV = ["training.trackers=[csv]"]


def _lines(run):
    return [{k: float(v) for k, v in line.items()} for line in read(run / "metrics.jsonl")]


def _rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def _recorded(monkeypatch, **failing):
    """What csv's methods are called with, instead of what they do."""
    seen = []
    for name in ("open", "log", "close"):

        def act(self, *given, name=name):
            seen.append((name, *given))
            if name in failing:
                raise failing[name]

        monkeypatch.setattr(csv_file.Csv, name, act)
    return seen


def test_every_line_of_the_logbook_is_a_row_also_after_a_stop(tmp_path, monkeypatch):
    spec = fgspec.load(runs.write_spec(tmp_path), CSV)
    runs.stop_after(monkeypatch, 9)
    with pytest.raises(Preempted):
        fgspec.train(spec, run_dir=tmp_path)
    (run,) = (tmp_path / "small").iterdir()
    assert _rows(run) == _lines(run)
    monkeypatch.undo()
    # A process that is killed leaves rows of steps after its last checkpoint, the last one torn.
    with (run / "metrics.csv").open("a") as file:
        file.write("24,1,2\n25,1")
    fgspec.train(resume=run)
    assert _rows(run) == _lines(run)
    assert [row["step"] for row in _rows(run)] == [7, 10, 14, 20, 21, 25]


def test_a_run_may_be_resumed_with_other_trackers(tmp_path, monkeypatch):
    path = runs.write_spec(tmp_path)
    runs.stop_after(monkeypatch, 9)
    with pytest.raises(Preempted):
        fgspec.train(path, run_dir=tmp_path)
    monkeypatch.undo()
    (run,) = (tmp_path / "small").iterdir()
    before = len(_lines(run))
    summary = fgspec.train(fgspec.load(path, CSV), resume=run)
    assert summary["step"] == 25
    assert _rows(run) == _lines(run)[before:]


def test_calls_come_in_order_with_the_folder_and_the_spec(tmp_path, monkeypatch):
    seen = _recorded(monkeypatch)
    spec = fgspec.load(runs.write_spec(tmp_path), CSV)
    run = Path(fgspec.train(spec, run_dir=tmp_path)["run"])
    assert seen[0] == ("open", run, spec.values())
    assert seen[-1] == ("close", "done")
    logged = [{"step": float(step)} | metrics for _, step, metrics in seen[1:-1]]
    assert logged == _lines(run)


@pytest.mark.parametrize("name", ["open", "log", "close"])
def test_an_error_of_a_tracker_is_a_line_and_no_end(name, tmp_path, monkeypatch):
    seen = _recorded(monkeypatch, **{name: ValueError("the line\nis down")})
    spec = fgspec.load(runs.write_spec(tmp_path), CSV)
    console = Console(file=io.StringIO())
    assert fgspec.train(spec, run_dir=tmp_path, console=console)["status"] == "done"
    assert [call[0] for call in seen].count(name) == 1
    line = f"warning: tracker csv: could not {name}: the line is down; the run continues without it"
    assert console.file.getvalue().count(line) == 1


def test_a_run_that_diverges_closes_its_trackers_as_failed(tmp_path, monkeypatch):
    seen = _recorded(monkeypatch)
    changes = ["optimizer.learning_rate=1e30", "architecture={type: mlp, hidden: [16, 16]}"]
    spec = fgspec.load(runs.write_spec(tmp_path, "bp"), [*CSV, *changes])
    with pytest.raises(fgspec.RunError):
        fgspec.train(spec, run_dir=tmp_path)
    assert [call for call in seen if call[0] == "close"] == [("close", "failed")]


def test_a_column_comes_with_its_first_number(tmp_path):
    followers = Followers([Csv()], print)
    followers.open(tmp_path, {})
    followers.log(1, {"a": 0.1})
    followers.log(2, {"b": math.nan})
    followers.log(3, {"a": 3, "b": -math.inf})
    followers.close("done")
    text = (tmp_path / "metrics.csv").read_text()
    assert text == "step,a,b\n1,0.1,\n2,,nan\n3,3.0,-inf\n"


def test_two_runs_of_one_process_keep_their_own_files(tmp_path):
    two = [Followers([Csv()], print) for _ in range(2)]
    for number, followers in enumerate(two):
        (tmp_path / str(number)).mkdir()
        followers.open(tmp_path / str(number), {})
    for number, followers in enumerate(two):
        followers.log(1, {"a": number})
    assert [_rows(tmp_path / str(n))[0]["a"] for n in (0, 1)] == [0, 1]


def test_no_tracker_is_listed_twice(tmp_path):
    with pytest.raises(fgspec.SpecError, match=r"trackers\[1\]: is listed twice; remove one"):
        fgspec.load(runs.write_spec(tmp_path), ["training.trackers=[csv, csv]"])


def test_a_spec_is_the_same_with_and_without_trackers(tmp_path):
    path = runs.write_spec(tmp_path)
    plain, followed = load(path), load(path, CSV)
    assert spec_hash(plain) == spec_hash(followed)
    assert spec_hash(tracked(plain, ["csv"])) == spec_hash(plain)


def test_a_run_that_was_recorded_with_its_trackers_is_still_itself(tmp_path):
    run = runs.invent(tmp_path, runs.write_spec(tmp_path), CSV)
    record = read_record(run / "provenance.json")
    values = load(run / "resolved.yaml").values()
    write_record(
        run / "provenance.json", record | {"hashes": {"spec": whole_identity(values), "data": ""}}
    )
    assert whole_identity(values) != identity(values)
    assert [str(t) for t in reopen(run)[1].experiment.training.trackers] == ["csv"]


def test_trackers_of_the_command_line_stand_beside_those_of_the_spec(tmp_path):
    spec = load(runs.write_spec(tmp_path), CSV)
    more = tracked(spec, ["csv", "tensorboard", "mlflow", "mlflow"])
    assert list(map(str, more.experiment.training.trackers)) == ["csv", "tensorboard", "mlflow"]
    assert "# --track" in resolved_text(more)


def test_track_follows_a_run_and_is_part_of_it(tmp_path, monkeypatch, fgspec):
    monkeypatch.chdir(tmp_path)
    runs.write_spec(tmp_path)
    code, out, err = fgspec("train", "small.yaml", "--run", "run", "--track", "csv")
    assert code == 0, out + err
    run = tmp_path / "run"
    assert _rows(run) == _lines(run)
    assert read_record(run / "provenance.json")["rule"] == "lg-fg-a"
    assert load(run / "resolved.yaml").experiment.training.trackers == (Csv(),)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["check", "small.yaml"], "small.yaml:10:23: training.trackers[0]: needs mlflow, which"),
        (["train", "small.yaml"], "small.yaml:10:23: training.trackers[0]: needs mlflow, which"),
        (["train", "other.yaml", "--track", "mlflow"], "--track: training.trackers[0]: needs"),
        (["train", "other.yaml", "--track", "mlfow"], "--track: did you mean mlflow? (got mlfow)"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_at_once(
    command, line, tmp_path, monkeypatch, fgspec
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    text = runs.write_spec(tmp_path).read_text()
    (tmp_path / "other.yaml").write_text(text)
    (tmp_path / "small.yaml").write_text(
        text.replace("{steps: 25,", "{trackers: [mlflow], steps: 25,")
    )
    code, _, err = fgspec(*command)
    assert code == 2
    assert line in err
    if "needs" in line:
        assert 'is not installed; pip install "fgspec[mlflow]"' in err
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_the_name_of_a_package_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "of_nobody").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Csv, "needs", "of_nobody")
    assert len(list(Csv().missing(("training", "trackers", 0)))) == 1


def test_trackers_change_nothing_that_is_computed(tmp_path):
    path = runs.write_spec(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text(f"extends: {path.name}\ntraining: {{trackers: [csv]}}\n")
    found = fgspec.compare(path, other)
    assert [str(d.path[-1]) for d in found.fields] == ["trackers"]
    assert all(one.identical for one in found.consequences)
    assert not found.cost
