"""Runs by name, `fgspec runs`, and how far a sweep is while it runs."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import runs
import tiny_sweep
from rich.console import Console

from fgspec.errors import NoRunError
from fgspec.results.collect import unended
from fgspec.results.listing import chosen, in_order, listed, span
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.folder import record, reopen, status
from fgspec.sweeps.live import followed, tally, watch
from fgspec.training.which_run import the_run, the_sweep


def _lines(error, seconds=0.5):
    return [{"step": 3, "train/loss": 2 * error, "test/error": error, "perf/step_time_s": seconds}]


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Three runs in `runs`, the last written last: two of `small`, one of `other`."""
    monkeypatch.chdir(tmp_path)
    spec = runs.write_spec(tmp_path, "bp")
    made = [
        runs.invent(Path("runs"), spec, ["seed=1"], _lines(0.3)),
        runs.invent(Path("runs"), spec, ["seed=2", "optimizer.learning_rate=0.5"], _lines(0.1)),
        runs.invent(Path("runs"), spec, ["name=other"], _lines(0.2), status="preempted"),
    ]
    for age, run in enumerate(reversed(made)):
        for file in run.iterdir():
            os.utime(file, (10**9 - age, 10**9 - age))
    return made


# ------------------------------------------------------------------------- which run is meant


def test_a_run_is_meant_by_its_folder_its_name_or_as_the_latest(three):
    one, two, other = three
    kept = two / "bundles" / "step-1"
    kept.mkdir(parents=True)
    (kept / "provenance.json").touch()
    assert the_run(one) == one
    assert the_run(Path("latest")) == the_run(Path("runs/latest")) == other
    assert the_run(Path("runs/small/latest")) == two
    assert the_run(Path("runs/other")) == the_run(Path("other")) == other
    assert [the_run(Path(run.name)) for run in three] == three


def test_a_name_of_several_runs_is_refused_with_all_of_them(three):
    for named in ("small", "runs/small", "runs"):
        with pytest.raises(NoRunError) as error:
            the_run(Path(named))
        assert all(str(run) in str(error.value) for run in three[:2])
        assert "latest" in str(error.value)


def test_where_no_run_is_meant_the_path_stays(three):
    for named in ("nothing", "runs/nothing", "small.yaml", "nothing/latest"):
        assert the_run(Path(named)) == Path(named)


def test_verbs_take_what_means_a_run(three, fgspec):
    one, two, other = three
    code, _, err = fgspec("eval", "small")
    assert (code, err.count("\n"), str(one) in err) == (2, 1, True)
    for words in (["eval", "latest"], ["train", "--resume", "other"]):
        _, _, err = fgspec(*words)
        assert err.startswith(f"run {other}\n")
    code, _, err = fgspec("report", "runs/small/latest")
    assert (code, err) == (0, f"run {two}\n")
    assert (two / "report.md").is_file()


def test_a_sweep_is_meant_by_its_name(tmp_path, monkeypatch, fgspec):
    monkeypatch.chdir(tmp_path)
    folder, _ = tiny_sweep.planned_in(tmp_path)
    for named in ("runs/two", "two", "latest"):
        assert the_sweep(Path(named)) == folder.path
    assert the_run(Path("two")) == folder.path
    assert "0 of 4 runs ended" in fgspec("status", "latest")[1]


# ------------------------------------------------------------------------------------ the list


def test_runs_are_listed_with_what_differs(three, fgspec):
    code, out, err = fgspec("runs")
    assert (code, err) == (0, "")
    head, *rows, count, then = out.splitlines()
    assert head.split() == ["run", "state", "step", "train/loss", "test/error", "age", "spec"]
    assert [row.split()[:5] for row in rows] == [
        [str(three[0]), "done", "3", "0.6000", "0.3000"],
        [str(three[1]), "done", "3", "0.2000", "0.1000"],
        [str(three[2]), "preempted", "3", "0.4000", "0.2000"],
    ]
    assert rows[1].endswith("seed=2 optimizer.learning_rate=0.5")
    assert (count, then) == ("3 runs", f"next: fgspec report {three[0]} {three[1]}")


def test_runs_are_chosen_and_ordered(three, fgspec):
    every = listed(Path("runs"))
    for conditions, expected in (
        (["state=done"], three[:2]),
        (["test/error<0.25"], three[1:]),
        (["eval/error<0.25"], three[1:]),  # its former name
        (["test/error<0.25", "name!=other"], three[1:2]),
        (["name=sm*"], three[:2]),
        (["optimizer.learning_rate>=0.5"], three[1:2]),
        (["seed=1"], three[:1]),
    ):
        assert [one.path for one in chosen(every, conditions)] == expected
    assert [one.path for one in in_order(every, "test/error")] == [three[i] for i in (1, 2, 0)]
    assert [one.path for one in in_order(every, "-test/error")] == [three[i] for i in (0, 2, 1)]
    code, out, _ = fgspec("runs", "--columns", "seed,test/error", "--sort", "test/error", "--json")
    found = json.loads(out)
    assert (code, [one["metrics"]["test/error"] for one in found]) == (0, [0.1, 0.2, 0.3])
    assert [one["differs"]["seed"] for one in found] == [2, 3, 1]
    code, out, _ = fgspec("runs", "--columns", "seed,test/error", "--filter", "seed=1")
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["seed", "test/error"],
        ["1", "0.3000"],
        ["1", "of", "3", "runs"],
    ]


def test_runs_of_one_name_are_listed(three, fgspec):
    _, whole, _ = fgspec("runs", "runs/small")
    assert whole.splitlines()[-2] == "2 runs"
    assert fgspec("runs", "small") == (0, whole, "")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--columns", "tst/error"], "--columns: no run has tst/error; did you mean test/error?"),
        (["--sort", "zzzz"], "--sort: no run has zzzz; fgspec runs --json shows what runs have"),
        (["--filter", "done"], "--filter: must be like state=done or train/loss<0.1 (got done)"),
        (["nowhere"], "nowhere: no runs; give the folder that was given to fgspec train --run-dir"),
    ],
)
def test_what_no_run_has_is_told(three, fgspec, words, hint):
    assert fgspec("runs", *words) == (2, "", f"{hint}\n")


def test_a_damaged_run_is_listed_as_such(three):
    (three[0] / "provenance.json").write_text("{")
    states = {one.path: one.state for one in listed(Path("runs"))}
    assert states == dict(zip(three, ["damaged", "done", "preempted"], strict=True))


def test_ages():
    assert [span(seconds) for seconds in (3, 90, 7200, 3 * 86400)] == ["3 s", "2 min", "2 h", "3 d"]


# ------------------------------------------------------------------------- a sweep under way


def _train(folder, planned, status):
    spec = folder.spec(planned.arm)
    runs.invent(folder.path, spec, [f"seed={planned.seed}"], _lines(0.25), status=status)


def test_how_far_a_sweep_is(tmp_path, monkeypatch):
    """Runs of 4 steps at 0.5 s each: one ended, one has a step to go, two wait."""
    monkeypatch.chdir(tmp_path)
    folder, planned = tiny_sweep.planned_in(tmp_path)
    _train(folder, planned[0], "done")
    _train(folder, planned[1], "")
    told = tally(status(folder, planned))
    assert told == "1 of 4 runs ended  1 under way  2 steps/s  about 0:04 left"


def test_watching_tells_changes_in_a_file_and_a_table_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, planned = tiny_sweep.planned_in(tmp_path)
    left = list(planned)

    def wait(_):
        _train(folder, left.pop(0), "done")

    file = io.StringIO()
    found = watch(folder, planned, Console(file=file, width=200), wait)
    assert [one.state for one in found] == ["done"] * 4
    lines = file.getvalue().splitlines()
    assert lines[:4] == [f"{one}: waiting at step 0/4" for one in planned]
    assert lines[5] == f"{planned[0]}: done at step 3/4"
    assert lines[-1] == "4 of 4 runs ended  0 under way"
    assert "\x1b" not in file.getvalue()

    def choose(_):  # a search has more arms than are known yet
        record(folder, sweep, {arm.label: 4 for arm in sweep.arms})

    sweep = load_sweep("two.yaml")
    record(folder, replace(sweep, arms=sweep.arms[:1]), {arm.label: 4 for arm in sweep.arms}, 2)
    assert unended([folder.path]) == 2
    known = reopen(folder.path)[1]
    assert len(watch(folder, known, Console(file=io.StringIO()), choose)) == 4
    assert unended([folder.path]) == 0

    drawn = io.StringIO()
    with followed(folder, planned, Console(file=drawn, force_terminal=True, width=80)):
        pass
    assert "4 of 4 runs ended" in drawn.getvalue()
