import json
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from importlib import metadata

import jax
import pytest

from fgspec.training.provenance import PACKAGES, collect


def gather(source_dir, **other):
    return collect(
        command=["fgspec", "train", "a.yaml"],
        hashes={"spec": "ab" * 32},
        seeds={"seed": 0},
        source_dir=source_dir,
        **other,
    )


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_everything_is_json(tmp_path):
    found = gather(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["command"] == ["fgspec", "train", "a.yaml"]
    assert found["hashes"] == {"spec": "ab" * 32}
    assert found["seeds"] == {"seed": 0}
    assert found["cpus"] >= 1
    assert found["platform"]


def test_versions_are_the_installed_ones(tmp_path):
    packages = gather(tmp_path)["packages"]
    assert tuple(packages) == PACKAGES
    assert packages["jax"] == jax.__version__
    assert packages["orbax-checkpoint"] == metadata.version("orbax-checkpoint")


def test_devices_are_counted_by_kind(tmp_path):
    devices = gather(tmp_path)["devices"]
    assert sum(device["count"] for device in devices) == len(jax.devices())
    assert devices[0]["kind"] == jax.devices()[0].device_kind


def test_the_clock_is_written_in_utc(tmp_path):
    moment = datetime(2026, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert gather(tmp_path, now=lambda: moment)["started"] == "2026-01-01T23:30:00+00:00"
    started = datetime.fromisoformat(gather(tmp_path)["started"])
    assert abs(datetime.now(UTC) - started) < timedelta(minutes=1)


def test_git_commit_and_dirt(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert gather(repository)["git"] == {"commit": commit, "dirty": False}
    (repository / "a.py").write_text("2\n")
    assert gather(repository)["git"] == {"commit": commit, "dirty": True}


def test_a_folder_inside_the_repository_and_a_new_file(repository):
    (repository / "package").mkdir()
    (repository / "package" / "b.py").write_text("")
    assert gather(repository / "package")["git"]["dirty"] is True


def test_no_repository_no_commit_no_folder_no_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert gather(tmp_path)["git"] is None
    assert gather(tmp_path / "missing")["git"] is None
    git(tmp_path, "init", "--quiet")
    assert gather(tmp_path)["git"] is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gather(tmp_path)["git"] is None


def test_a_hanging_git_is_given_up(tmp_path, monkeypatch):
    def hang(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert gather(tmp_path)["git"] is None
