"""A sweep on SLURM: nothing runs twice, whoever watches; what is pushed out comes back.

submitit is real, SLURM is `slurm_stand_in`: what that cannot show is how SLURM itself behaves.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import slurm_stand_in
from tiny_sweep import planned_in, pretend

from fgspec.errors import UserError
from fgspec.sweeps import folder as folders
from fgspec.sweeps import on_slurm
from fgspec.sweeps.engine import Site, Watch, run_all
from fgspec.sweeps.on_slurm import Slurm, refuse_others
from fgspec.training.loop import Preempted

SLEEPS = """
if first:
    signal.signal(signal.SIGTERM, lambda *a: (SAVE, sys.exit(75)))
    pathlib.Path('ready').touch()
    time.sleep(60)
"""
SAVES = SLEEPS.replace("SAVE", "os.makedirs(run / 'checkpoints' / '2')")
SAVES_NOTHING = SLEEPS.replace("SAVE", "None")


@pytest.fixture
def bin(tmp_path, monkeypatch):
    """The folder of a stand-in for SLURM, on the PATH; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "slurm_bin"
    slurm_stand_in.install(folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(Slurm, "pause", 0.05)
    return folder


@pytest.fixture
def planned(bin, tmp_path):
    """A sweep's folder, and two runs."""
    folder, todo = planned_in(tmp_path)
    return folder, todo[:2]


def _slurm(folder, say=print, **resources):
    return Slurm(Site(folder, 0, None, {"time": 60} | resources, say))


def _run(folder, todo, said, retries=0, stopping=lambda: False):
    watch = Watch(retries, said.append, stopping)
    run_all(folder, todo, _slurm(folder, said.append), watch)
    return [one.state for one in folders.status(folder, todo)]


def _jobs(bin):
    return {file.stem: json.loads(file.read_text()) for file in bin.glob("*.job")}


def _tickets(folder):
    return [*(folder.path / "slurm").glob("*.json")]


def _soon(what):
    """Wait until something is so."""
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def _once_ready(act):
    """Asked whether to stop, says no, and acts once a run has said that it is ready."""

    def stopping():
        if os.path.exists("ready"):
            os.remove("ready")
            act()
        return False

    return stopping


def test_a_killed_run_is_a_new_job(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, "if first: os.kill(os.getpid(), 9)")
    said = []
    assert _run(folder, todo, said, retries=1) == ["done"] * 2
    assert said[0] == "submitted 2 runs as job 1"
    for index, planned in enumerate(todo):
        how = f"job 1_{index} was killed by signal 9 at step 0; it is tried again"
        assert f"{planned}: {how}" in said
        assert f"{planned}: done at step 0" in said
    assert [job["state"] for job in _jobs(bin).values()].count("COMPLETED") == 2


def test_jobs_outlive_who_watches_and_are_not_submitted_twice(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, "")
    (bin / "hold").touch()
    with pytest.raises(Preempted, match=r"2 runs stay queued or running under SLURM.* scancel 1 "):
        _run(folder, todo, [], stopping=lambda: True)
    with pytest.raises(UserError, match="jobs 1_0, 1_1 of this sweep are queued or running"):
        refuse_others(folder)

    said = []
    left = iter([False, False, True])
    with pytest.raises(Preempted):
        _run(folder, todo, said, stopping=lambda: next(left))
    assert said == ["queued or running already: 1_0, 1_1"]

    (bin / "hold").unlink()
    assert _run(folder, todo, []) == ["done"] * 2
    assert {*_jobs(bin)} == {"1_0", "1_1"}
    _soon(lambda: {job["state"] for job in _jobs(bin).values()} == {"COMPLETED"})
    assert _tickets(folder) == []
    refuse_others(folder)


def test_another_command_waits_in_no_queue(planned, monkeypatch, bin, fgspec):
    folder, todo = pretend(monkeypatch, planned, "")
    (bin / "hold").touch()
    _slurm(folder).start(folders.status(folder, todo[:1]))
    code, _, err = fgspec("sweep", "two.yaml")
    assert (code, "jobs 1 of this sweep are queued or running under SLURM" in err) == (2, True)
    subprocess.run(["scancel", "1"], check=True)
    (bin / "hold").unlink()


@pytest.mark.parametrize("what", [signal.SIGUSR2, signal.SIGTERM], ids=["time", "preemption"])
def test_a_job_that_is_pushed_out_saves_and_comes_back(planned, monkeypatch, bin, what):
    folder, todo = pretend(monkeypatch, planned, SAVES)
    said = []

    stopping = _once_ready(lambda: slurm_stand_in.signal_step(bin, "1", what))
    assert _run(folder, todo[:1], said, stopping=stopping) == ["done"]
    assert said == ["submitted 1 run as job 1", f"{todo[0]}: done at step 0"]
    assert _jobs(bin)["1"]["restarts"] == 1
    (run,) = (folder.path / todo[0].name).iterdir()
    assert (run / "checkpoints" / "2").is_dir()


def test_a_job_too_short_for_a_step_does_not_come_back_for_ever(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, SAVES_NOTHING)
    said = []

    stopping = _once_ready(lambda: slurm_stand_in.signal_step(bin, "1", signal.SIGUSR2))
    assert _run(folder, todo[:1], said, stopping=stopping) == ["failed"]
    why = (
        "the job's time was over before a step was done; ask for more with --resource time=MINUTES"
    )
    assert said[1] == f"{todo[0]}: failed: {why}; see {folder.log(todo[0])}"


def test_what_the_user_cancels_is_not_tried_again(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, SAVES)
    said = []

    stopping = _once_ready(lambda: subprocess.run(["scancel", "1"], check=True))
    _run(folder, todo[:1], said, retries=3, stopping=stopping)
    assert said[1] == f"{todo[0]}: job 1 was cancelled at step 0; see {folder.log(todo[0])}"
    assert [*_jobs(bin)] == ["1"]


def test_a_controller_that_is_away_loses_no_job(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, "")
    (bin / "hold").touch()
    said = []
    engine = _slurm(folder, said.append)
    handles = [*engine.start(folders.status(folder, todo))]
    (bin / "away").touch()
    assert [engine.gone(handles), engine.gone(handles)] == [{}, {}]
    assert said[1:] == [
        "sweep: squeue: slurm_load_jobs error: Unable to contact slurm controller; asking again"
    ]
    with pytest.raises(UserError, match=r"Unable to contact slurm controller; jobs .* may be"):
        refuse_others(folder)
    (bin / "away").unlink()
    (bin / "hold").unlink()
    _soon(lambda: len(engine.gone(handles)) == 2)


def test_jobs_that_are_refused_are_no_jobs(planned):
    folder, todo = planned
    engine = _slurm(folder, partition="none")
    with pytest.raises(UserError, match=r"sbatch refused the jobs: .*invalid partition"):
        engine.start(folders.status(folder, todo))
    assert engine.under_way(todo) == {}
    assert _tickets(folder) == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"time": None}, "--on slurm: give --resource time=MINUTES, a whole number"),
        ({"time": "1:00"}, r"a whole number; .*\(got 1:00\)"),
        ({"time": 2}, r"time=2: must be more than one minute plus .*\(got 90\)"),
        ({"time": 2, "signal_delay_s": "x"}, r"smaller signal_delay_s \(got x\)"),
        ({"job_name": "mine"}, "--resource job_name: is set by the sweep; leave it out"),
        ({"partitoin": "a"}, r"--resource: Unavailable parameter\(s\): \['partitoin'\]"),
    ],
)
def test_parameters_that_are_refused(planned, resources, message):
    with pytest.raises(UserError, match=message):
        _slurm(planned[0], **resources)


def test_parameters_reach_sbatch(planned, monkeypatch, bin):
    folder, todo = pretend(monkeypatch, planned, "")
    engine = _slurm(folder, partition="gpu", setup=["export HERE=there"], gpus_per_node=2)
    engine.start(folders.status(folder, todo))
    lines = (folder.path / "slurm" / "1_submission.sh").read_text().splitlines()
    for line in ("partition=gpu", "gpus-per-node=2", "time=60", "array=0-1%2"):
        assert f"#SBATCH --{line}" in lines
    assert "export HERE=there" in lines
    _soon(lambda: {job["state"] for job in _jobs(bin).values()} == {"COMPLETED"})


def test_what_is_missing_is_named(planned, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match='--on slurm: Could not detect "srun"'):
        _slurm(planned[0])
    with pytest.raises(UserError, match="squeue cannot be run"):
        on_slurm.queue()
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"needs submitit, which is not installed; .* `slurm`"):
        _slurm(planned[0])
