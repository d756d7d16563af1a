"""`fgspec launch`."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from fgspec.cli.arguments import ArgumentError, meant, with_mesh
from fgspec.cli.train_ import refuse_unclear
from fgspec.errors import STOPPED
from fgspec.loading.spec_file import Loaded, is_pipe, load
from fgspec.processes.stopping import advise
from fgspec.processes.supervise import simulated, supervise
from fgspec.show.lines import say
from fgspec.training.run_folder import create, reopen


def run(
    spec: Path | None,
    processes: int,
    devices: int | None,
    retries: int,
    overrides: list[str] | None,
    mesh: str | None,
    run_dir: Path,
    run: Path | None,
    resume: Path | None,
    fork: bool,
    break_lock: bool,
    track: list[str] | None,
) -> None:
    """What `fgspec launch` does."""
    refuse_unclear("launch", spec, run, resume, fork)
    resume = resume and meant(resume)
    if spec is not None and is_pipe(spec):
        raise ArgumentError(
            f"launch: {spec}: is a pipe, which only one process can read; write the spec to a file"
        )
    sets = with_mesh(overrides, mesh)
    # A new run has its folder here already: whatever becomes of processes, they go on with it.
    new = run is None and (resume is None or fork)
    if new:
        run = create(_named(spec, sets, resume), run_dir).path
    command = [sys.executable, "-m", "fgspec", "train"]
    command += [] if spec is None else [str(spec)]
    command += [] if run is None else ["--run", str(run)]
    command += [] if resume is None else ["--resume", str(resume)]
    command += [word for one in sets for word in ("--set", one)]
    command += [word for one in track or () for word in ("--track", one)]
    command += ["--fork"] * fork + ["--break-lock"] * break_lock
    environment = dict(os.environ)
    if devices is not None:
        environment = simulated(devices, environment)
    errors = Console(stderr=True)

    def tell(line: str) -> None:
        say(errors, f"launch: {line}")

    advise("repeat the command to resume")
    code = supervise(command, processes, environment, retries, tell)
    if code == STOPPED:
        again = ["fgspec", *sys.argv[1:], *(["--run", str(run)] if new else [])]
        tell(f"resume with: {shlex.join(again)}")
    if code:
        raise typer.Exit(code)


def _named(spec: Path | None, sets: Sequence[str], resume: Path | None) -> Loaded:
    """The spec to train; its name is that of the folder of new runs.

    Raises:
        SpecError: it is wrong.
        ResumeError: there is no run to fork.
    """
    if spec is not None:
        return load(spec, sets)
    assert resume is not None
    run, _ = reopen(resume)
    return load(run.resolved, sets)
