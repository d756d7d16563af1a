"""A run where a cluster put it: one process at a time, and one run of several tasks."""

import _thread
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fgspec.sweeps import node
from fgspec.sweeps.node import Job, Order, begin, held, joined, notice, stop, taken, train


@pytest.fixture
def order(tmp_path):
    """What prints a line and its current folder."""
    source = "import os; print(os.environ['FGSPEC_DATA'], os.getcwd())"
    return Order(
        command=(sys.executable, "-S", "-c", source),
        run=str(tmp_path / "run"),
        log=str(tmp_path / "logs" / "a.txt"),
        lock=str(tmp_path / "logs" / "a.lock"),
        code=str(tmp_path / "code"),
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


SAVES = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *about: (pathlib.Path("saved").touch(), sys.exit(75)))
pathlib.Path("ready").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("at_first", [signal.default_int_handler, signal.SIG_IGN])
def test_an_interrupt_while_a_process_begins_loses_no_run(order, tmp_path, monkeypatch, at_first):
    """As Ray interrupts: it calls the handler, at any line. Behind a shell's `&` there is none."""

    def interrupted(order, lock):
        process = begin(order, lock)
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        _thread.interrupt_main()
        time.sleep(0.01)  # a handler that is not put off would raise here
        return process

    monkeypatch.setattr(node, "begin", interrupted)
    before = signal.signal(signal.SIGINT, at_first)
    try:
        assert train(replace(order, command=(sys.executable, "-S", "-c", SAVES))) == 75
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "saved").exists()


def test_a_notice_while_a_process_begins_finds_the_process(order, monkeypatch):
    job, known = Job(order), []
    monkeypatch.setattr(node, "_state", lambda: "")
    before = signal.signal(notice(), lambda *about: known.append(job._process))

    def notified(order, lock):
        process = begin(order, lock)
        signal.raise_signal(notice())
        return process

    monkeypatch.setattr(node, "begin", notified)
    try:
        job()
    finally:
        signal.signal(notice(), before)
    assert known == [job._process] != [None]


def test_tasks_of_one_job_join_one_run(order):
    assert joined(order, 0, 1) == order
    first, second = joined(order, 0, 2), joined(order, 1, 2)
    assert first == replace(order, command=(*order.command, "--distributed"))
    assert second.command == first.command
    assert {second.log, second.lock}.isdisjoint({first.log, first.lock})
