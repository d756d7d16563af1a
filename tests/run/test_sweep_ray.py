"""A sweep on a Ray cluster of this machine: lost tasks are tried again, cancelled ones save."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_sweep import planned_in, pretend

from fgspec.errors import UserError
from fgspec.sweeps import folder as folders
from fgspec.sweeps.engine import Site, Watch, run_all
from fgspec.sweeps.on_ray import Ray
from fgspec.training.loop import Preempted

ray = pytest.importorskip("ray")

WAITS = """
if first:
    signal.signal(signal.SIGTERM, lambda *a: (pathlib.Path('saved').touch(), sys.exit(75)))
    pathlib.Path('worker').write_text(str(os.getppid()))
    time.sleep(60)
"""


OPEN = {"RAY_AUTH_MODE": "disabled"}
CLUSTER = """
import ray, sys
context = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of two CPUs of this machine.

    Another process begins the cluster: Ray forks for it, and JAX warns of that in this one.
    """
    begun = [sys.executable, "-c", CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(begun, **pipes, env=os.environ | OPEN) as head:
        lines = (line.strip() for line in head.stdout)
        yield next(line for line in lines if re.fullmatch(r"[0-9.]+:\d+", line))
        ray.shutdown()
        head.communicate()


@pytest.fixture
def planned(cluster, tmp_path, monkeypatch):
    """A sweep's folder, and two runs."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"RAY_ADDRESS": cluster, **OPEN}.items():
        monkeypatch.setenv(name, value)
    folder, todo = planned_in(tmp_path)
    return folder, todo[:2]


def _ray(folder, **resources):
    return Ray(Site(folder, 0, None, resources, print))


def _run(folder, todo, said, retries=0, stopping=lambda: False):
    run_all(folder, todo, _ray(folder), Watch(retries, said.append, stopping))


def _states(folder, todo):
    return [one.state for one in folders.status(folder, todo)]


def test_a_killed_run_is_tried_again(planned, monkeypatch):
    folder, todo = pretend(monkeypatch, planned, "if first: os.kill(os.getpid(), 9)")
    said = []
    _run(folder, todo, said, retries=1)
    assert _states(folder, todo) == ["done"] * 2
    assert {f"{one}: was killed by signal 9 at step 0; it is tried again" for one in todo} < {*said}


def test_a_lost_worker_takes_its_run_along_and_another_goes_on(planned, monkeypatch):
    folder, todo = pretend(monkeypatch, planned, WAITS)
    said = []

    def stopping():
        if os.path.exists("worker") and (number := Path("worker").read_text()):
            os.remove("worker")
            os.kill(int(number), signal.SIGKILL)
        return False

    begun = time.monotonic()
    _run(folder, todo[:1], said, retries=1, stopping=stopping)
    assert time.monotonic() - begun < 30  # the second try waits for a process that is still there
    assert _states(folder, todo[:1]) == ["done"]
    assert "was lost by Ray (The worker died unexpectedly while executing this task)" in said[0]


def test_a_sweep_that_is_told_to_stop_saves_its_runs(planned, monkeypatch):
    folder, todo = pretend(monkeypatch, planned, WAITS)
    with pytest.raises(Preempted, match="every run is saved"):
        _run(folder, todo[:1], [], stopping=lambda: os.path.exists("worker"))
    assert os.path.exists("saved")
    assert _states(folder, todo[:1]) == ["waiting"]
    _run(folder, todo[:1], [])
    assert _states(folder, todo[:1]) == ["done"]


def test_what_runs_wait_for_is_told(planned):
    said = []
    wanted = {"num_cpus": 0.5, "num_gpus": 1, "resources": {"scanner": 2}}
    Ray(Site(planned[0], 0, None, wanted, said.append))
    assert said == [
        "a run asks for 1 GPU, the Ray cluster has 0; runs wait until it has more",
        "a run asks for 2 scanner, the Ray cluster has 0; runs wait until it has more",
    ]


def test_what_ray_refuses(planned, monkeypatch):
    folder, _ = planned
    with pytest.raises(UserError, match="--resource: Invalid option keyword num_cpsu"):
        _ray(folder, num_cpsu=1)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs ray, which is not installed; .* `ray`"):
        _ray(folder)
