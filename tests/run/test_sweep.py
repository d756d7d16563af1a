"""A sweep's runs: each is run once, whatever stops it; processes that die are tried again."""

import fcntl
import json
import subprocess
from pathlib import Path

import pytest
import runs
from tiny_sweep import planned_in, pretend, write_sweep

from fgspec import api
from fgspec.cli.arguments import nested
from fgspec.errors import DataError, ResumeError, UserError
from fgspec.loading.resolved import identity
from fgspec.sweeps import engine
from fgspec.sweeps import folder as folders
from fgspec.sweeps.engine import Site, Watch, run_all
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.processes import Processes
from fgspec.sweeps.show import plan_lines, status_lines
from fgspec.training.loop import Preempted
from fgspec.yaml.load import read

NEXT = "next: fgspec report runs/two"


@pytest.fixture
def fgspec(fgspec, monkeypatch, tmp_path):
    """Runs the command line beside a sweep."""
    monkeypatch.chdir(tmp_path)
    write_sweep(Path())
    return fgspec


def run_folders():
    return sorted(path.parent for path in Path("runs/two").glob("*/*/provenance.json"))


def test_a_sweep_that_is_killed_goes_on_and_runs_nothing_twice(fgspec, monkeypatch):
    train, calls = api.train, []

    def counted(spec=None, **asked):
        calls.append(asked.get("resume"))
        if len(calls) == 2:  # stopped in the second run, after two steps and an evaluation
            with monkeypatch.context() as patched:
                runs.stop_after(patched, 3)
                return train(spec, **asked)
        return train(spec, **asked)

    monkeypatch.setattr(api, "train", counted)
    code, out, err = fgspec("sweep", "two.yaml")
    assert (code, "stopped at step 2 of 4" in err) == (75, True)
    assert "4 runs" in out
    first = run_folders()
    code, out, _ = fgspec("status", "runs/two")
    assert code == 0
    assert "preempted 2/4" in out
    assert out.count("waiting") == 2
    assert out.splitlines()[-2:] == ["1 of 4 runs ended", NEXT]

    code, out, _ = fgspec("sweep", "two.yaml")
    assert code == 0
    assert "1 of 4 runs ended already" in out
    assert out.splitlines()[-2:] == ["4 of 4 runs ended", NEXT]
    assert calls[2] is not None  # the stopped run was resumed
    assert len(calls) == 5
    assert set(first) < set(run_folders())
    assert len(run_folders()) == 4
    for run in run_folders():
        assert [line["step"] for line in runs.lines(run)] == [1, 2, 3, 4]

    code, out, _ = fgspec("sweep", "two.yaml")
    assert (code, len(calls)) == (0, 5)


FAILURES = {
    "data.source.path: a.png is damaged": DataError("data.source.path: a.png is damaged"),
    "none of the checkpoints can be used: step 2: torn": ResumeError(
        "none of the checkpoints can be used:\n  step 2: torn"
    ),
    "ZeroDivisionError: by hand; its traceback is in ": ZeroDivisionError("by hand\nand more"),
}


def test_every_failure_is_a_failed_arm_and_the_others_go_on(fgspec, monkeypatch):
    train, errors = api.train, iter([*FAILURES.values(), None])

    def failing(spec=None, **asked):
        error = next(errors, None)
        if error is not None:
            raise error
        return train(spec, **asked)

    monkeypatch.setattr(api, "train", failing)
    code, out, _ = fgspec("sweep", "two.yaml")
    assert (code, out.splitlines()[-2:]) == (1, ["4 of 4 runs ended", NEXT])
    for verb in ("status", "report"):
        code, out, _ = fgspec(verb, "runs/two")
        assert code == 0
        for reason in FAILURES:
            assert f": {reason}" in out
    assert "ZeroDivisionError: by hand" in Path("runs/two/report.md").read_text()
    (log,) = Path("runs/two/logs").iterdir()
    assert "Traceback" in log.read_text()

    code, out, _ = fgspec("sweep", "two.yaml")  # what failed is mended, and tried again
    assert (code, "1 of 4 runs ended already" in out) == (0, True)
    assert "failed" not in fgspec("status", "runs/two")[1]


def test_what_is_wrong_with_arms_is_told_before_any_is_trained(fgspec):
    Path("none.yaml").write_text(
        "{fgspec: 1, name: none, base: tiny.yaml, grid: {data.source: "
        "[{type: npz, path: a.npz}, digits, {type: npz, path: b.npz}]}}"
    )
    code, _, err = fgspec("sweep", "none.yaml")
    assert code == 2
    assert [("a.npz" in line, "(arm source-" in line) for line in err.splitlines()] == [
        (True, True),
        (False, True),
    ]
    assert not Path("runs").exists()


def test_runs_of_an_older_language_are_not_run_again(fgspec):
    assert fgspec("sweep", "two.yaml")[0] == 0
    for run in run_folders()[:2]:
        text = (run / "resolved.yaml").read_text()
        rows = [row for row in text.splitlines() if not row.startswith("  seed: null")]
        (run / "resolved.yaml").write_text("\n".join(rows) + "\n")
        record = json.loads((run / "provenance.json").read_text())
        del record["sealed"], record["sha256"]  # as records were before they had these
        written = identity(read(run / "resolved.yaml").value)
        assert written != record["hashes"]["spec"]
        record["hashes"]["spec"] = written
        (run / "provenance.json").write_text(json.dumps(record))
    folders._of_today.cache_clear()
    code, out, _ = fgspec("sweep", "two.yaml")
    assert (code, "4 of 4 runs ended already" in out) == (0, True)


def test_an_arm_that_touches_more_than_it_says_is_refused(fgspec):
    Path("told.yaml").write_text(
        "name: told\nextends: tiny.yaml\noptimizer: {learning_rate: 0.3}\nablation:\n"
        "  {base: tiny.yaml, changes: [optimizer.learning_rate], touches: [noise]}\n"
    )
    Path("one.yaml").write_text("{fgspec: 1, name: one, base: told.yaml}")
    for asked in (["--list"], []):
        code, _, err = fgspec("sweep", "one.yaml", *asked)
        assert (code, "ablation.touches: does not list optimizer" in err) == (2, True)


def test_specs_that_cannot_be_written_are_a_wrong_call(fgspec):
    code, _, err = fgspec("sweep", "two.yaml", "--write", "two.yaml/x")
    assert (code, err.count("\n")) == (2, 1)
    assert "sweep: --write two.yaml/x: cannot be written (Not a directory)" in err


def test_list_and_write_run_nothing(fgspec):
    code, out, _ = fgspec("sweep", "two.yaml", "--list", "--write", "cells")
    assert code == 0
    assert out.splitlines()[0] == "two: 2 arms x 2 seeds"
    written = sorted(Path("cells").iterdir())
    assert [path.stem for path in written] == ["learning_rate-0.1", "learning_rate-0.2"]
    assert fgspec("check", *written)[0] == 0
    assert not Path("runs").exists()


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A sweep's folder with four runs to be done."""
    monkeypatch.chdir(tmp_path)
    return planned_in(tmp_path)


def test_the_command_of_a_run_is_train(planned):
    folder, todo = planned
    found = folders.status(folder, todo)[0]
    spec = str(folder.spec(todo[0].arm))
    train = ["fgspec", "train", spec, "--set", "seed=0", "--run"]
    new = folder.path / todo[0].name / f"seed-0-{todo[0].sha256[:8]}"
    assert engine.command(folder, found)[2:] == [*train, str(new)]
    run = runs.invent(folder.path, spec, ["seed=0"], status="")
    found = folders.status(folder, todo)[0]
    assert found.state == "begun"
    assert engine.command(folder, found)[2:] == [*train, str(run)]


def _processes(folder, jobs, lock):
    return Processes(Site(folder, lock, jobs, {}, print))


def _watch(said, retries):
    return Watch(retries, said.append, lambda: False)


def test_a_killed_process_is_tried_again_and_no_more_often_than_asked(planned, monkeypatch):
    said = []
    with folders.locked(planned[0], said.append) as lock:
        inherits = f"os.fstat({lock})"  # raises where the lock was not inherited
        script = f"if first: os.kill(os.getpid(), 9)\n{inherits}"
        folder, todo = pretend(monkeypatch, planned, script)
        run_all(folder, todo, _processes(folder, 2, lock), _watch(said, retries=1))
    assert [one.state for one in folders.status(folder, todo)] == ["done"] * 4
    assert sum("was killed by signal 9 at step 0; it is tried again" in line for line in said) == 4
    assert sum(line.endswith(": done at step 0") for line in said) == 4


def test_a_bad_exit_is_told_with_its_log(planned, monkeypatch):
    said = []
    with folders.locked(planned[0], said.append) as lock:
        folder, todo = pretend(monkeypatch, planned, "print('why'); sys.exit(2)")
        run_all(folder, todo[:1], _processes(folder, 2, lock), _watch(said, retries=5))
    log = folder.log(todo[0])
    assert said == [f"{todo[0]}: failed: why; see {log}"]
    assert log.read_text() == "why\n"
    (found,) = folders.status(folder, todo[:1])
    assert (found.state, found.reason) == ("failed", f"why; see {log}")


LOG = """\
run runs/two/x/y
step 2/4  loss 2.3  4 steps/s  1 s left
Traceback (most recent call last):
  File "a.py", line 1, in f
    raise KeyError(1)
KeyError: 1
"""
ENDS = {
    f"print({LOG!r}); sys.exit(1)": "KeyError: 1; see ",
    "print('one: x\\n  step 4: y'); sys.exit(3)": "one: x step 4: y; see ",
    "os.kill(os.getpid(), 9)": "was killed by signal 9; see ",
}


@pytest.mark.parametrize("script", ENDS)
def test_a_process_that_ended_is_no_run_that_goes_on(planned, monkeypatch, script):
    with folders.locked(planned[0], print) as lock:
        folder, todo = pretend(monkeypatch, planned, script)
        run_all(folder, todo[:1], _processes(folder, 2, lock), _watch([], retries=0))
    (found,) = folders.status(folder, todo[:1])
    assert (found.state, found.over) == ("failed", False)  # the next call tries it again
    assert found.reason.startswith(ENDS[script])


def test_a_sweep_that_is_told_to_stop_stops_its_processes(planned, monkeypatch):
    with folders.locked(planned[0], print) as lock:
        folder, todo = pretend(monkeypatch, planned, "import time; time.sleep(60)")
        asked = iter([False, True])
        watch = Watch(0, print, lambda: next(asked))
        with pytest.raises(Preempted, match="every run is saved"):
            run_all(folder, todo, _processes(folder, 1, lock), watch)
    assert [one.state for one in folders.status(folder, todo)] == ["waiting"] * 4


def test_what_a_killed_sweep_started_keeps_it_locked(planned):
    folder, _ = planned
    with folders.locked(folder, print) as lock:
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    with (folder.path / "lock").open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        orphan.kill()
        orphan.wait()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_runs_are_found_by_hash_whatever_else_is_there(planned):
    folder, todo = planned
    spec = folder.spec(todo[0].arm)
    runs.invent(folder.path, spec, ["seed=0", "training.steps=9"])  # of another spec
    (folder.path / todo[0].name / "torn").mkdir()  # killed before it said what it is
    done = runs.invent(folder.path, spec, ["seed=0"], [{"step": 4, "test/error": 0.25}])
    runs.invent(folder.path, spec, ["seed=0"], status="preempted")
    found = folders.status(folder, todo)
    assert [one.state for one in found] == ["done", "waiting", "waiting", "waiting"]
    assert (found[0].run, found[0].step, found[0].metrics) == (done, 4, {"test/error": 0.25})
    assert status_lines(found)[1].split() == ["learning_rate-0.1", "0.2500", "waiting"]


RECORDS = [None, "", "[" * 100_000, "[]", '{"runs": 1}', '{"runs": [{"arm": "a"}]}', "\xff"]
RECORDS += ['{"runs": [{"arm": "a", "seed": 0, "name": "n", "sha256": "s", "steps": "many"}]}']


@pytest.mark.parametrize("text", RECORDS, ids=range(len(RECORDS)))
def test_another_folder_is_no_sweep(tmp_path, text):
    if text is not None:
        (tmp_path / "sweep.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"not a sweep: it has no readable sweep\.json"):
        folders.reopen(tmp_path)


def test_the_cost_of_all_runs_is_told(planned):
    sweep = load_sweep("two.yaml")
    lines = plan_lines(sweep, {arm.label: (1000, 4) for arm in sweep.arms})
    assert lines[-1].split() == ["4", "runs", "16", "k"]
    assert json.loads((planned[0].record).read_text())["runs"][0]["steps"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--on", "slrm"], "--on: did you mean slurm? (got slrm)"),
        (["--on", "cloud"], "--on: known: processes, ray, slurm (got cloud)"),
        (["--resource", "time=3"], "--resource: needs --on ray or --on slurm"),
        (["--on", "ray", "--resource", "num_gpus"], "must be name=value, such as num_cpus=2"),
        (["--on", "ray", "--resource", "a=1", "--resource", "a.b=2"], "a has a value already"),
        (["--on", "ray", "--resource", "a=[1"], "--resource: a: "),
        (["--jobs", "2", "--resource", "time=3"], "--resource: needs --on ray or --on slurm"),
    ],
)
def test_where_no_sweep_runs(fgspec, options, message):
    code, _, err = fgspec("sweep", "two.yaml", *options)
    assert (code, message in err) == (2, True), err


def test_resources_are_names_and_yaml():
    given = ["time=60", "setup=[module load cuda, ulimit -c 0]", "resources.tpu=1", "resources.x=2"]
    assert nested(given, "--resource") == {
        "time": 60,
        "setup": ["module load cuda", "ulimit -c 0"],
        "resources": {"tpu": 1, "x": 2},
    }
