"""Runs of many processes: two of four simulated devices each, over gloo, against one process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import runs
import yaml

import fgspec
import fgspec.api
from fgspec.processes.supervise import simulated
from fgspec.training.logbook import read
from fgspec.training.loop import Preempted
from fgspec.training.records import read_record

PATIENCE = 240
"""Seconds for anything that processes do; each takes some six to start."""

FEW = ["--processes", "2", "--devices-per-process", "4", "--mesh", "data=4,group=2"]


def _fgspec(*arguments, **more):
    command = [sys.executable, "-m", "fgspec", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def _wait_for(found, process):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    raise AssertionError("nothing happened")


def _steps(run):
    return max((line["step"] for line in read(run / "metrics.jsonl")), default=0)


def _rank(supervisor, number):
    """The process id of one of the ranks that `fgspec launch` started last."""
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    return next(
        pid for pid, words in commands.items() if words[-3:] == ["--process-id", str(number), ""]
    )


SPEC = {
    "fgspec": 1,
    "name": "tiny",
    "rule": "lg-fg-a",
    "data": {"source": {"type": "digits"}, "batch_size": 64},
    "architecture": {
        "type": "local_mixer",
        "blocks": 1,
        "patches": 2,
        "channels": 8,
        "groups": 2,
        # Blank patches have no variance, which enlarges rounding.
        "normalization": {"epsilon": 1.0},
    },
    "optimizer": {"type": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    # Long enough for a process to be killed, and all to be stopped, on a busy machine.
    "training": {"steps": 90, "log_every": {"steps": 4}, "evaluate_every": {"steps": 30}},
    # Orbax, too, asks at every save whether to stop.
    "checkpoint": {"every": {"steps": 3}},
}


def _written(folder, **changes):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(SPEC | changes))
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The metrics of one process on one device that nobody disturbed."""
    folder = tmp_path_factory.mktemp("alone")
    return runs.lines(Path(fgspec.train(_written(folder), run_dir=folder)["run"]))


def _assert_like(found, wanted):
    assert [line["step"] for line in found] == [line["step"] for line in wanted]
    for line, other in zip(found, wanted, strict=True):
        assert line == pytest.approx(other, abs=1e-6)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children in /proc")
def test_a_run_goes_on_whatever_becomes_of_its_processes(alone, tmp_path, monkeypatch):
    """Begun by one process, gone on with by two, of which one is killed, ended by one."""
    # Every process reads its own rows; the run that it is compared with has all on the device.
    spec, run = _written(tmp_path, compile={"input": "host"}), tmp_path / "run"
    runs.stop_after(monkeypatch, 2)
    with pytest.raises(Preempted):
        fgspec.train(spec, run=run)
    monkeypatch.undo()

    supervisor = _fgspec("launch", spec, "--run", run, *FEW)
    _wait_for(lambda: _steps(run) >= 12, supervisor)
    os.kill(_rank(supervisor, 1), signal.SIGKILL)
    _wait_for(lambda: _steps(run) >= 24, supervisor)
    supervisor.terminate()
    said, _ = supervisor.communicate(timeout=PATIENCE)
    assert supervisor.returncode == 75, said
    assert "launch: process 1 was killed by SIGKILL; the others were stopped" in said
    assert said.count("its state is saved") == 1
    assert "is connected to" not in said  # which gloo tells standard output

    fgspec.train(spec, run=run)
    _assert_like(runs.lines(run), alone)


def test_without_a_supervisor_the_others_end_promptly(alone, tmp_path):
    run = tmp_path / "run"
    spec = _written(tmp_path, training=SPEC["training"] | {"steps": 100_000})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    joined = ["--run", run, "--coordinator", address, "--num-processes", 2, "--process-id"]
    sets, environment = ["--set", "mesh.data=-1"], simulated(1, os.environ)
    ranks = [_fgspec("train", spec, *sets, *joined, n, env=environment) for n in range(2)]
    try:
        _wait_for(lambda: _steps(run) >= 8, ranks[0])
        ranks[1].kill()
        began = time.monotonic()
        said, _ = ranks[0].communicate(timeout=PATIENCE)
        assert time.monotonic() - began < 30
        assert ranks[0].returncode in (76, -signal.SIGABRT), said
        assert "another process ended" in said or "another task died" in said
        assert ranks[1].communicate()[0].count("step ") == 0
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait(timeout=PATIENCE)
            rank.stdout.close()
    _assert_like(runs.lines(run)[:2], alone[:2])


def test_a_run_is_made_longer_and_forked_by_many_processes(alone, tmp_path):
    """What changes is recorded once, by process 0, and all of them train what it says."""
    spec, run = _written(tmp_path, compile={"input": "host"}), tmp_path / "run"
    fgspec.train(fgspec.load(spec, ["training.steps=60"]), run=run)
    longer = ["launch", "--resume", run, "--set", "training.steps=90", *FEW]
    said, code = _ended(_fgspec(*longer))
    assert code == 0, said
    assert "changed: training.steps: run 60, spec 90 (--set)" in said
    (change,) = read_record(run / "provenance.json")["changes"]
    assert "training.steps" in [one["field"] for one in change["fields"]]
    _assert_like(runs.lines(run), alone)

    rate = ["--set", "optimizer.learning_rate=0.01", "--set", "training.steps=100"]
    fork = ["launch", "--resume", run, "--fork", "--run-dir", tmp_path / "forks", *rate, *FEW]
    said, code = _ended(_fgspec(*fork))
    assert code == 0, said
    (begun,) = (tmp_path / "forks" / "tiny").iterdir()
    lineage = read_record(begun / "provenance.json")["lineage"]
    assert (lineage["parent"], lineage["step"]) == (str(run.resolve()), 90)
    assert {line["step"] for line in runs.lines(begun)} == {92, 96, 100}
    assert fgspec.evaluate(begun)["step"] == 100


def _ended(process):
    said, _ = process.communicate(timeout=PATIENCE)
    return said, process.returncode
