"""A damaged log is named, its run is left out, the others go on; a resume never builds on it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import runs
import tiny_sweep

import fgspec as verbs
from fgspec import api
from fgspec.errors import DamagedRecord
from fgspec.results.collect import collect
from fgspec.sweeps.engine import place
from fgspec.sweeps.folder import RunStatus, status
from fgspec.training.records import read_record
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import checked_lines


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run with checkpoints at 18, 24 and 25, and lines at 7, 10, 14, 20, 21 and 25."""
    folder = tmp_path_factory.mktemp("undisturbed")
    spec = verbs.load(runs.write_spec(folder), ["checkpoint.keep=3"])
    return Path(verbs.train(spec, run=folder / "run")["run"])


@pytest.fixture
def run(undisturbed, tmp_path):
    """A copy of it."""
    shutil.copytree(undisturbed, tmp_path / "run")
    return RunDir(tmp_path / "run")


def damage(run, number):
    """Change one digit of a line, which stays JSON."""
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    lines[number - 1] = re.sub(rb'("epoch": )[0-9]', rb"\g<1>9", lines[number - 1])
    run.metrics.write_bytes(b"".join(lines))


def test_lines_of_a_later_step_do_not_matter_to_a_resume(run, undisturbed):
    shutil.rmtree(run.checkpoints / "25")
    damage(run, 6)
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:6: this line is damaged"):
        checked_lines(run)
    verbs.train(resume=run.path)
    runs.assert_same(run.path, undisturbed)
    assert len(checked_lines(run)) == 6


def test_a_resume_goes_back_to_where_the_log_holds(run, undisturbed, caplog):
    damage(run, 5)  # of step 21: what 24 and 25 were saved with, 18 was not
    verbs.train(resume=run.path)
    skipped = [r.getMessage() for r in caplog.records if "skipped" in r.getMessage()]
    assert len(skipped) == 2
    for line, step in zip(skipped, (25, 24), strict=True):
        assert f"checkpoints/{step}: " in line
        assert f"{run.metrics}:5: this line is damaged" in line
    runs.assert_same(run.path, undisturbed)
    assert len(checked_lines(run)) == 6
    assert {p.name for p in run.checkpoints.iterdir()} >= {"set-aside-24", "set-aside-25"}


@pytest.mark.parametrize("change", ["first line", "emptied", "missing", "of another run"])
def test_a_resume_refuses_a_log_that_fits_no_checkpoint(run, change, fgspec):
    if change == "first line":
        damage(run, 1)
    elif change == "emptied":
        run.metrics.write_bytes(b"")
    elif change == "missing":
        run.metrics.unlink()
    else:
        run.metrics.write_text(json.dumps({"step": 7, "train/loss": 0.1}) + "\n")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    code, _, err = fgspec("train", "--resume", run.path)
    assert code == 3
    assert "none of the checkpoints can be used:" in err
    for step in (18, 24, 25):
        assert f"  step {step}: {run.metrics}" in err
    assert before == {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def test_an_evaluation_warns_and_evaluates_the_checkpoint(run, undisturbed, caplog):
    damage(run, 2)
    assert api.evaluate(run.path) == api.evaluate(undisturbed)
    (line,) = (r.getMessage() for r in caplog.records)
    assert line.startswith(f"{run.metrics}:2: this line is damaged")


def test_a_damaged_summary_is_named_and_written_anew(run):
    text = run.summary.read_text()
    run.summary.write_text(text.replace('"step": 25', '"step": 24'))
    with pytest.raises(DamagedRecord, match=r"summary\.json: was changed"):
        checked_lines(run)
    verbs.train(resume=run.path)
    assert read_record(run.summary) == read_record_of(text)


def read_record_of(text):
    value = json.loads(text)
    return {name: part for name, part in value.items() if name not in ("sealed", "sha256")}


def test_a_summary_is_made_of_what_its_process_wrote(tmp_path, monkeypatch):
    """Another hand writes into the log meanwhile."""
    run = RunDir(tmp_path / "run")
    write = api.Job.about

    def about(self, step, examples):
        with run.metrics.open("a") as file:
            file.write('{"step": 1, "test/error": 0.0}\n')
        return write(self, step, examples)

    monkeypatch.setattr(api.Job, "about", about)
    summary = verbs.train(runs.write_spec(tmp_path, "bp", steps=10), run=run.path)
    assert summary["metrics"]["test/error"] > 0
    with pytest.raises(DamagedRecord, match=r"metrics\.jsonl:2: "):
        checked_lines(run)


# ----------------------------------------------------------------------- reports and sweeps


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of four runs that are done, never trained; its folder and its runs."""
    monkeypatch.chdir(tmp_path)
    folder, planned = tiny_sweep.planned_in(tmp_path)
    made = []
    for number, one in enumerate(planned):
        path = place(folder, RunStatus(one))
        lines = [{"step": 4, "test/error": 0.1 * (number + 1)}]
        invented = runs.invent(tmp_path / "made", folder.spec(one.arm), [f"seed={one.seed}"], lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        invented.rename(path)
        made.append(RunDir(path))
    return folder, planned, made


def log(run):
    run.metrics.write_text(run.metrics.read_text().replace("test/error", "evil/error"))
    return run.metrics


def shortened(run):
    run.metrics.write_text("")
    return run.metrics


def missing(run):
    run.metrics.unlink()
    return run.metrics


def summary(run):
    run.summary.write_text(run.summary.read_text().replace('"done"', '"gone"'))
    return run.summary


def record(run):
    run.provenance.write_text(run.provenance.read_text().replace('"jax"', '"jux"'))
    return run.provenance


@pytest.mark.parametrize("damaged", [log, shortened, missing, summary, record])
def test_a_damaged_run_is_left_out_and_named_and_the_others_go_on(sweep, damaged, fgspec):
    folder, planned, made = sweep
    file = damaged(made[1])
    found = status(folder, planned)
    assert [one.state for one in found] == ["done", "damaged", "done", "done"]
    assert found[1].reason.startswith(str(file))
    assert f"fgspec train --resume {made[1].path}" in found[1].reason
    code, out, _ = fgspec("status", folder.path)
    assert code == 0
    assert f"{planned[1]}: {file}" in out
    collected = collect([folder.path])
    (left_out,) = collected.left_out
    assert left_out.path.resolve() == made[1].path.resolve()
    assert str(file) in left_out.reason
    values = [arm.values("test/error") for arm in collected.arms]
    assert sorted(v for each in values for v in each.values()) == pytest.approx([0.1, 0.3, 0.4])
    code, out, _ = fgspec("report", folder.path, "--out", "r")
    assert code == 0
    assert f"left out: {file}" in out
    assert "## Runs left out" in Path("r/report.md").read_text()


def test_a_sweep_leaves_a_damaged_run_as_it_is(sweep, fgspec):
    _, planned, made = sweep
    log(made[1])
    before = made[1].metrics.read_bytes()
    code, out, _ = fgspec("sweep", "two.yaml")
    assert code == 1
    assert "4 of 4 runs ended already" in out
    assert f"{planned[1]}: {made[1].metrics}:1: this line is damaged" in out
    assert made[1].metrics.read_bytes() == before


def test_only_damaged_runs_make_no_report(sweep, fgspec):
    _, _, made = sweep
    log(made[0])
    code, _, err = fgspec("report", made[0].path)
    assert code == 3
    assert f"{made[0].metrics}:1: this line is damaged" in err
