"""One writer a run: who holds its lock, who is refused, and what becomes of locks left over."""

import errno
import json
import os
import re
import socket

import pytest
import runs

import fgspec
from fgspec.training import lock
from fgspec.training.lock import Writer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(lock, "_PATIENCE", 0.0)


def _left_over(path, host):
    """A lock file that a process did not remove: it was killed, or its host went down."""
    path.write_text(json.dumps({"host": host, "pid": 12, "started": "2026-01-01T00:00:00+00:00"}))


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    with Writer(print) as first:
        first.take(tmp_path / "run")
        held = rf"run: is being trained by process {os.getpid()} on this host, started \d{{4}}-"
        with Writer(print) as second, pytest.raises(fgspec.ResumeError, match=held):
            second.take(tmp_path / "run")
        first.check()
    with Writer(print) as second:
        second.take(tmp_path / "run")


def test_what_was_not_begun_leaves_nothing_behind(tmp_path):
    with Writer(print) as writer:
        writer.take(tmp_path / "run")
        assert (tmp_path / "run" / "lock").exists()
    assert not (tmp_path / "run").exists()


def test_a_dead_holder_on_this_host_is_taken_over_without_a_word(tmp_path, capsys):
    _left_over(tmp_path / "lock", socket.gethostname())
    _left_over(tmp_path / "lock.1", socket.gethostname())
    with Writer(print) as writer:
        writer.take(tmp_path)
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert (list(tmp_path.iterdir()), capsys.readouterr().out) == ([], "")


def test_a_process_beside_the_first_keeps_the_run_too(tmp_path):
    with Writer(print) as beside:
        beside._hold(tmp_path, tmp_path / "lock.1")
        with Writer(print) as first, pytest.raises(fgspec.ResumeError, match="is being trained"):
            first.take(tmp_path)


def test_a_holder_on_another_host_is_refused_with_the_command_that_breaks_its_lock(tmp_path):
    _left_over(tmp_path / "lock", "elsewhere")
    (tmp_path / "provenance.json").write_text("{}")
    command = re.escape(f"break the lock with: fgspec train --resume {tmp_path} --break-lock")
    with (
        Writer(print) as writer,
        pytest.raises(fgspec.ResumeError, match=f"process 12 on host elsewhere.*{command}$"),
    ):
        writer.take(tmp_path)
    with Writer(print, breaking=True) as writer:
        writer.take(tmp_path)


def test_who_lost_the_lock_writes_nothing_more(tmp_path):
    with Writer(print) as former:
        former.take(tmp_path)
        _left_over(tmp_path / "lock", "elsewhere")  # as a process on another host sees it
        with Writer(print, breaking=True) as latter:
            latter.take(tmp_path)
            with pytest.raises(fgspec.ResumeError, match="its lock was broken or removed"):
                former.check()


def test_a_file_system_without_locks_is_told_and_the_run_goes_on(tmp_path, monkeypatch):
    def missing(descriptor, blocking):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    said = []
    monkeypatch.setattr(lock, "lock_descriptor", missing)
    with Writer(said.append) as writer:
        writer.take(tmp_path)
        writer.check()
    assert said == [
        f"note: {tmp_path}: this file system has no locks; make sure that no other process trains "
        "this run"
    ]


def test_training_is_refused_and_evaluating_is_not(tmp_path, request):
    cli = request.getfixturevalue("fgspec")
    spec, run = runs.write_spec(tmp_path, "bp", steps=1), tmp_path / "run"
    fgspec.train(spec, run=run)
    assert not (run / "lock").exists()
    with Writer(print) as writer:
        writer.take(run)
        for again in (["train", spec, "--run", run], ["train", "--resume", run]):
            code, _, said = cli(*again)
            assert (code, said.count("\n")) == (3, 1)
            assert f"{run}: is being trained by process {os.getpid()}" in said
        assert fgspec.evaluate(run)["step"] == 1
