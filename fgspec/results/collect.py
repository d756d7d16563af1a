"""Folders of runs and of sweeps -> arms, each with the runs that differ in nothing but the seed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgspec.errors import UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded
from fgspec.sweeps import folder as sweeps
from fgspec.sweeps.expand import untaken
from fgspec.training import run_folder as rundir
from fgspec.training.logbook import read
from fgspec.training.resuming import compared
from fgspec.training.run_folder import RunDir


@dataclass(frozen=True)
class RunResult:
    """One run.

    Attributes:
        path: its folder.
        seed: of the run.
        state: `done`, `failed`, `preempted` or `begun`.
        lines: of its metrics, each with its `step`.
        provenance: as recorded when it began.
    """

    path: Path
    seed: int
    state: str
    lines: tuple[dict[str, Any], ...]
    provenance: dict[str, Any]

    def last(self, metric: str) -> float | None:
        """The last value of a metric; None without one."""
        values = (line[metric] for line in reversed(self.lines) if metric in line)
        return next(values, None)


@dataclass(frozen=True)
class ArmResult:
    """Runs of one spec with several seeds.

    Attributes:
        label: its name among the others.
        loaded: the spec, with the seed of its first run.
        runs: one a seed, those that are done.
        others: those that are not, and repeated ones.
    """

    label: str
    loaded: Loaded
    runs: tuple[RunResult, ...]
    others: tuple[RunResult, ...]

    def values(self, metric: str) -> dict[int, float]:
        """The last value of a metric, by seed."""
        found = {run.seed: run.last(metric) for run in self.runs}
        return {seed: value for seed, value in found.items() if value is not None}


def collect(paths: Sequence[Path]) -> list[ArmResult]:
    """The arms of runs and sweeps, in the order in which they are named.

    Args:
        paths: folders of runs, and folders of sweeps that stand for all their runs.

    Raises:
        UserError: a path is neither, or there is no run.
        ResumeError: the record of a run cannot be read.
    """
    arms: dict[str, tuple[str, Loaded, list[RunResult]]] = {}
    for label, path in _runs(paths):
        run, loaded = rundir.reopen(path)
        key = spec_hash(loaded, **compared(run, loaded) | {"seed": 0})
        own = arms.setdefault(key, (label or loaded.experiment.name, loaded, []))[2]
        if all(run.path.resolve() != other.path.resolve() for other in own):
            own.append(_result(run, loaded))
    if not arms:
        raise UserError(f"report: no runs yet in {', '.join(map(str, paths))}")
    taken: dict[str, int] = {}
    return [_arm(untaken(label, taken), loaded, runs) for label, loaded, runs in arms.values()]


def _runs(paths: Iterable[Path]) -> Iterable[tuple[str, Path]]:
    """Label (of a sweep's arm, or empty) and folder of every run."""
    for path in paths:
        if not (path / "sweep.json").is_file():
            yield "", path
            continue
        for found in sweeps.status(*sweeps.reopen(path)):
            if found.run is not None:
                yield found.planned.arm, found.run


def _result(run: RunDir, loaded: Loaded) -> RunResult:
    provenance = json.loads(run.provenance.read_text())
    lines = tuple(read(run.metrics))
    seed = loaded.experiment.seed
    return RunResult(run.path, seed, sweeps.run_state(run), lines, provenance)


def _arm(label: str, loaded: Loaded, found: list[RunResult]) -> ArmResult:
    done: dict[int, RunResult] = {}
    for run in found:
        if run.state == "done":
            done.setdefault(run.seed, run)
    runs = tuple(done[seed] for seed in sorted(done))
    return ArmResult(label, loaded, runs, tuple(run for run in found if run not in runs))
