"""The supervisor of `fgspec launch`, with processes that are quick to start."""

import os
import subprocess
import sys
import time

import pytest

from fgspec.processes.supervise import simulated, supervise

KILLED_ONCE = "if rank == 1 and attempt == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
WAITS = "time.sleep(100)"
PATIENCE = 60
"""Seconds for processes that only start and end."""


def _supervised(folder, code, processes=2, retries=3):
    """Exit code, lines and attempts of processes that run `code`, told `rank` and `attempt`."""
    script = f"""
import os, pathlib, signal, sys, time
rank, folder = int(sys.argv[-1]), pathlib.Path({str(folder)!r})
with (folder / f"rank{{rank}}").open("a") as file:
    print(*sys.argv[1:], file=file)
def starts(n):
    path = folder / f"rank{{n}}"
    return len(path.read_text().splitlines()) if path.exists() else 0
attempt = starts(rank)
while any(starts(n) < attempt for n in range({processes})):
    time.sleep(0.01)
{code}
"""
    lines = []
    command = [sys.executable, "-S", "-c", script]
    ended = supervise(command, processes, os.environ, retries, lines.append)
    starts = [(folder / f"rank{n}").read_text().splitlines() for n in range(processes)]
    return ended, lines, starts


def test_all_end_well(tmp_path):
    code, lines, starts = _supervised(tmp_path, "", processes=3)
    assert (code, lines) == (0, [])
    (address,) = {words.split()[1] for (words,) in starts}
    for number, (words,) in enumerate(starts):
        expected = f"--coordinator {address} --num-processes 3 --process-id {number}"
        assert words == expected


def test_when_one_is_killed_the_others_are_ended_and_all_start_again(tmp_path):
    code, lines, starts = _supervised(tmp_path, KILLED_ONCE + "if attempt == 1: " + WAITS)
    assert code == 0
    assert lines == [
        "process 1 was killed by SIGKILL; the others were stopped; "
        "restarting all from the last checkpoint; at most 2 more times"
    ]
    assert [len(of) for of in starts] == [2, 2]


def test_it_is_the_killed_one_that_is_named_not_those_that_lost_it(tmp_path):
    killed = "if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(0.02)\nos.abort()"
    code, lines, _ = _supervised(tmp_path, killed, retries=0)
    assert code == 76
    assert lines == [
        "process 1 was killed by SIGKILL; the others were stopped; no retries are left"
    ]


def test_one_that_fails_is_heard(tmp_path):
    failing = "if rank == 0: time.sleep(100)\nprint('no such device')\nsys.exit(76)"
    code, lines, starts = _supervised(tmp_path, failing, retries=1)
    assert code == 76
    assert lines[1].startswith("  no such device\nprocess 1 ended with exit code 76; the others")
    assert [len(of) for of in starts] == [2, 2]


@pytest.mark.parametrize("code", [1, 2, 3, 75])
def test_an_error_that_would_come_again_is_not_retried(tmp_path, code):
    # The others abort, as JAX has it, when one leaves.
    failing = f"if rank == 0: time.sleep(0.3), os.abort()\nprint('my mistake')\nsys.exit({code})"
    ended, lines, starts = _supervised(tmp_path, failing)
    assert ended == code
    assert lines == [f"  my mistake\nprocess 1 ended with exit code {code}"]
    assert [len(of) for of in starts] == [1, 1]


def test_sigterm_is_passed_on_and_nothing_starts_again(tmp_path):
    stops = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
(folder / f"ready{rank}").touch()
while rank == 0 and not (folder / "ready1").exists(): time.sleep(0.01)
if rank == 0: os.kill(os.getppid(), signal.SIGTERM)
"""
    code, lines, starts = _supervised(tmp_path, stops + WAITS)
    assert (code, lines) == (75, [])
    assert [len(of) for of in starts] == [1, 1]


def test_processes_end_with_a_supervisor_that_is_killed(tmp_path):
    rank = f"""
import os, pathlib, sys, time
from fgspec.processes.stopping import end_with_supervisor
end_with_supervisor()
(pathlib.Path({str(tmp_path)!r}) / f"rank{{sys.argv[-1]}}-{{os.getpid()}}").touch()
time.sleep(100)
"""
    supervisor = f"""
import os, sys
from fgspec.processes.supervise import supervise
supervise([sys.executable, "-c", {rank!r}], 2, os.environ, 0, print)
"""
    process = subprocess.Popen([sys.executable, "-c", supervisor], stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    while len(found := list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    pids = [int(path.name.partition("-")[2]) for path in found]
    assert len(pids) == 2
    while any(map(_is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(_is_alive, pids))


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_simulated_devices_are_added_to_the_flags():
    found = simulated(4, {"XLA_FLAGS": "--mine", "A": "b"})
    assert found["XLA_FLAGS"] == "--mine --xla_force_host_platform_device_count=4"
    assert (found["JAX_PLATFORMS"], found["A"]) == ("cpu", "b")
