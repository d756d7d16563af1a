"""Compiled programs are found again by another process, and only where they are wanted."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest
import runs
from rich.console import Console

import fgspec
from fgspec.training.compile_cache import compilation_cache, no_compilation_cache, user_folder

DIRECTORY = "jax_compilation_cache_dir"
SHORTEST = "jax_persistent_cache_min_compile_time_secs"


def _train(folder):
    said = io.StringIO()
    console = Console(file=said, width=300)
    summary = fgspec.train(runs.write_spec(folder, steps=3), run_dir=folder, console=console)
    return Path(summary["run"]), [x for x in said.getvalue().splitlines() if "compil" in x]


def test_a_second_process_finds_the_program_and_gets_the_same_bits(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("FGSPEC_CACHE", str(cache))
    first, (line,) = _train(tmp_path)
    assert line.startswith(f"compilation cache {cache}: miss")
    assert cache.stat().st_mode & 0o077 == 0
    assert list(cache.glob("jit_*updates-*"))
    assert jax.config.values[DIRECTORY] is None
    rest = (tmp_path / "small.yaml", "--run-dir", tmp_path / "second")
    command = [sys.executable, "-m", "fgspec.cli.main", "train", *map(str, rest)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert f"compilation cache {cache}: hit, " in done.stdout
    assert done.stderr == ""
    (second,) = (tmp_path / "second" / "small").iterdir()
    runs.assert_same(second, first)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache that keeps every program however short; what JAX warns of is no error."""
    monkeypatch.setenv("FGSPEC_CACHE", str(tmp_path))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    shortest = jax.config.values[SHORTEST]
    jax.config.update(SHORTEST, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield tmp_path
    jax.config.update(SHORTEST, shortest)
    jax.clear_caches()


def test_a_damaged_file_is_replaced(cached):
    """JAX would warn of it at every start."""
    for expected in ("miss, the next", "hit, ", "miss, a damaged file was replaced", "hit"):
        with compilation_cache() as use:
            jax.jit(_triple)(2.0)
        assert expected in use.lines()[0]
        jax.clear_caches()
        if expected == "hit, ":
            (entry,) = cached.glob("jit__triple-*")
            entry.write_bytes(entry.read_bytes()[:-100])


def _triple(x):
    return x * 3 + 1


def test_a_full_disk_is_told_once(cached):
    with compilation_cache() as use, runs.largest_file(100):
        assert jax.jit(_triple)(2.0) == 6 + 1
    assert use.lines() == [
        f"warning: compiled programs are not cached ({cached}: OSError: [Errno 27] File too "
        "large); set FGSPEC_CACHE to a folder that can be written to, or to off"
    ]


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FGSPEC_CACHE", str(tmp_path / "file" / "cache"))
    with compilation_cache() as use:
        assert jax.config.values[DIRECTORY] is None
        (line,) = use.lines()
    assert line.startswith(f"warning: compiled programs are not cached ({tmp_path}/file")
    assert line.endswith("set FGSPEC_CACHE to a folder that can be written to, or to off")


@pytest.mark.parametrize("off", ["off", "OFF"])
def test_it_can_be_switched_off(monkeypatch, off):
    monkeypatch.setenv("FGSPEC_CACHE", off)
    with compilation_cache() as use:
        assert jax.config.values[DIRECTORY] is None
        assert use.lines() == ["compilation cache: off (FGSPEC_CACHE=off)"]


def test_what_jax_was_told_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_CACHE", str(tmp_path / "other"))
    shortest = jax.config.values[SHORTEST]
    jax.config.update(DIRECTORY, str(tmp_path / "own"))
    try:
        with compilation_cache() as use:
            assert use.folder == tmp_path / "own"
            assert jax.config.values[DIRECTORY] == str(tmp_path / "own")
            assert jax.config.values[SHORTEST] == shortest
        assert jax.config.values[DIRECTORY] == str(tmp_path / "own")
    finally:
        jax.config.update(DIRECTORY, None)
    assert list(tmp_path.iterdir()) == []


def test_without_it_nothing_is_read_or_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_CACHE", str(tmp_path))
    with compilation_cache() as use, no_compilation_cache():
        jax.config.update(SHORTEST, 0.0)
        jax.jit(lambda x: x * 3 + 1)(2.0)
    assert (use.hits, use.misses) == (0, 0)
    assert list(tmp_path.iterdir()) == []
    assert jax.config.values["jax_enable_compilation_cache"]


def test_the_oldest_programs_make_room(tmp_path, monkeypatch):
    monkeypatch.setenv("FGSPEC_CACHE", str(tmp_path))
    monkeypatch.setattr("fgspec.training.compile_cache.LARGEST_TOTAL", 25)
    for age, name in enumerate(["jit_c-0-cache", "jit_a-1-cache", "jit_b-2-cache", "mine"]):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    with compilation_cache():
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"jit_c-0-cache", "jit_a-1-cache", "mine"}


HOME = Path("/home/a")


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, "/home/a/.cache/fgspec/compiled"),
        ("linux", {"XDG_CACHE_HOME": "/fast"}, "/fast/fgspec/compiled"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "/home/a/.cache/fgspec/compiled"),
        ("darwin", {"XDG_CACHE_HOME": "/fast"}, "/home/a/Library/Caches/fgspec/compiled"),
        ("win32", {}, "/home/a/AppData/Local/fgspec/compiled"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fgspec/compiled"),
    ],
)
def test_the_folder_is_the_users(platform, environment, folder):
    assert user_folder(environment, platform, HOME) == Path(folder)
