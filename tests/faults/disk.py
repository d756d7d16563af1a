"""Disks that are full and folders that are taken away while a run trains."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.outcome import Outcome
from tests.faults.trained import Runs, Trial, has_traceback, new_outcome, pause, trains

TITLE = "full disks, and folders taken away"

SIZES = (16, 32, 64, 100, 150, 220, 300)
"""Of a file system, in kB: too small for the run's record, for a checkpoint, for the second."""

LIMITS = (100, 400, 1_000, 2_000, 4_000, 8_000, 16_000)
"""Of a file, in bytes, where no file system can be mounted."""


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Train on file systems that fill up, and take folders away.

    Args:
        count: faults; 11 if None.
        folder: of the runs.
        seed: of the moments.
    """
    chance, outcome = random.Random(seed), new_outcome()
    runs = Runs(folder / "disk", epochs=20)
    full = [lambda n=n: _full(runs, n, outcome) for n in range(len(SIZES))]
    taken = [lambda what=what: _taken(runs, what, chance, outcome) for what in TAKEN]
    for fault in [*full, *taken][:count]:
        fault()
    return outcome


def _full(runs: Runs, number: int, outcome: Outcome) -> None:
    size, place = SIZES[number], runs.folder / f"full-{number}"
    with _mounted(place, size) as mounted:
        run = place / "run"
        limit = None if mounted else LIMITS[number]
        printed = place.with_name(f"{place.name}.txt")
        command = [*runs.command, "--run", str(run)]
        trial = runs.started(command, printed, limit)
        code, said = trial.wait(), trial.output()
        where = f"{size} kB" if mounted else f"files of {limit} bytes"
        if code == 0:
            outcome.tried += 1
            outcome.survived += 1
            return
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        _judge(runs, outcome, where, (code, said), runs.started(command, printed), run)


def _judge(
    runs: Runs, outcome: Outcome, where: str, first: tuple[int | None, str], again: Trial, run: Path
) -> None:
    """Look at a run that stopped, and at the one that resumed it."""
    code, said = first
    outcome.tried += 1
    told = said.strip().splitlines()[-1]
    resumed, after = again.wait(), again.output()
    if has_traceback(said + after):
        outcome.tracebacks.append(f"{where}: {told}")
    elif code not in (1, 2) or str(run) not in told:
        outcome.silent.append(f"{where}: exit code {code}: {told}")
    elif resumed != 0:
        outcome.lost.append(f"{where}: cannot be resumed: {after.strip().splitlines()[-1]}")
    elif wrong := runs.wrong(run):
        outcome.silent.append(f"{where}: {wrong}")
    else:
        outcome.survived += 1


@contextmanager
def _mounted(place: Path, size: int) -> Iterator[bool]:
    """Mount a small file system at a folder, if that is allowed."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)]
    allowed = not subprocess.run(mount, capture_output=True, check=False).returncode
    try:
        yield allowed
    finally:
        if allowed:
            subprocess.run(["umount", str(place)], check=True)


def _whole(run: Path, aside: Path) -> Path:
    run.rename(aside)
    return run


def _checkpoints(run: Path, aside: Path) -> Path:
    (run / "checkpoints").rename(aside)
    return run / "checkpoints"


def _replaced_by_a_file(run: Path, aside: Path) -> Path:
    (run / "checkpoints").rename(aside)
    (run / "checkpoints").write_text("")
    return run / "checkpoints"


def _no_longer_writable(run: Path, aside: Path) -> Path:
    """Nobody may write it; root may, so its file system is mounted once more, to be read only."""
    if os.geteuid():
        (run / "checkpoints").chmod(0o555)
    else:
        path = str(run)
        bound = subprocess.run(["mount", "--bind", path, path], capture_output=True, check=False)
        # While a file is open for writing it is busy.
        again = ["mount", "-o", "remount,ro,bind", path]
        while not bound.returncode and subprocess.run(again, capture_output=True).returncode:
            pass
    return run


TAKEN = (_whole, _checkpoints, _replaced_by_a_file, _no_longer_writable)


def _taken(runs: Runs, what: object, chance: random.Random, outcome: Outcome) -> None:
    name = what.__name__.strip("_")
    run, aside = runs.folder / name, runs.folder / f"{name}-aside"
    # Long enough for the folder to be gone before the end.
    long = ["--set", "training.epochs=100000"]
    trial = runs.start(run, *long)
    if not trial.wait_for(lambda: trains(run)):
        raise RuntimeError(trial.output())
    pause(chance, 0.5)
    place = what(run, aside)
    code, said = trial.wait(), trial.output()
    outcome.tried += 1
    told = said.strip().splitlines()[-1]
    if has_traceback(said):
        outcome.tracebacks.append(f"{name}: {told}")
    elif code not in (1, 3) or str(run) not in told or "orbax" in told:
        outcome.silent.append(f"{name}: exit code {code}: {told}")
    else:
        outcome.survived += 1
    if aside.exists():
        if place.is_file():
            place.unlink()
        shutil.rmtree(place, ignore_errors=True)
        aside.rename(place)
    elif os.geteuid():
        (run / "checkpoints").chmod(0o755)
    else:
        subprocess.run(["umount", str(run)], capture_output=True, check=False)
