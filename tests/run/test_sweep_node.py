"""A run where a cluster put it: one process at a time, and one run of several tasks."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fgspec.sweeps.node import Order, begin, held, joined, stop, taken, train


@pytest.fixture
def order(tmp_path):
    """What prints a line and its current folder."""
    source = "import os; print(os.environ['FGSPEC_DATA'], os.getcwd())"
    return Order(
        command=(sys.executable, "-S", "-c", source),
        run=str(tmp_path / "run"),
        log=str(tmp_path / "logs" / "a.txt"),
        lock=str(tmp_path / "logs" / "a.lock"),
        code="",
        cwd=str(tmp_path),
        environment={"FGSPEC_DATA": "there"},
    )


def test_a_process_keeps_its_lock_when_who_started_it_is_gone(order):
    sleeps = replace(order, command=(sys.executable, "-S", "-c", "import time; time.sleep(60)"))
    with held(order.lock) as lock:
        process = begin(sleeps, lock)
    with open(order.lock) as file:
        assert not taken(file)
        stop(process)
        assert process.wait() < 0
        assert taken(file)


def test_what_a_run_prints_is_in_its_log(order, tmp_path):
    assert [train(order), train(order)] == [0, 0]
    assert Path(order.log).read_text() == f"there {tmp_path}\n" * 2


def test_tasks_of_one_job_join_one_run(order):
    assert joined(order, 0, 1) == order
    first, second = joined(order, 0, 2), joined(order, 1, 2)
    assert first == replace(order, command=(*order.command, "--distributed"))
    assert second.command == first.command
    assert {second.log, second.lock}.isdisjoint({first.log, first.lock})
