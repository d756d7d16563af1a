"""Strict JAX for every test: no silent promotion of dtypes or ranks; quick compilation.

Almost all the time of the suite is XLA compiling tiny programs that then run for milliseconds, so
its costly passes are off here, in the runs that tests start as processes too. What runs compile is
kept for the next run of the same program in a folder of this session, never in the user's cache.
"""

import atexit
import ctypes
import gc
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers have the folder of who started them
    os.environ["FGSPEC_CACHE"] = tempfile.mkdtemp(prefix="fgspec-tests-")
    atexit.register(shutil.rmtree, os.environ["FGSPEC_CACHE"], ignore_errors=True)
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        # XLA stops at a flag that it does not know, and another version may not know these.
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        if version("jaxlib").startswith("0.10.")
        else "",
    )
)

import jax
import networks
import pytest

from fgspec.cli.main import main

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

MAPPED = 30_000
"""Half the regions of memory that Linux gives a process: every compiled program takes some of them,
and XLA ends the process when it gets no more."""


@pytest.fixture(autouse=True)
def _room_for_programs():
    """Forget compiled programs before they are too many."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAPPED:
        jax.clear_caches()


@pytest.fixture(autouse=True, scope="module")
def _memory_for_the_next_file():
    """Forget the programs of a file: a worker holds those of one, not of all that it runs."""
    yield
    networks.program.cache_clear()
    jax.clear_caches()
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # which else keeps what was freed


@pytest.fixture
def fgspec(monkeypatch, capsys):
    """Runs the command line in the current folder; returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fgspec", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return stop.value.code or 0, out, err

    return run
