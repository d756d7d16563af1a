"""Folders of runs and of sweeps -> arms, each with the runs that differ in nothing but the seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgspec.errors import ResumeError, UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded
from fgspec.sweeps import folder as sweeps
from fgspec.sweeps.expand import untaken
from fgspec.training import run_folder as rundir
from fgspec.training.records import read_record
from fgspec.training.resuming import compared
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import checked_lines


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


@dataclass(frozen=True)
class LeftOut:
    """A run of which nothing counts, as its record or its log is not what was written."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Collected:
    """What there is of runs and sweeps.

    Attributes:
        arms: in the order in which they are named.
        left_out: damaged runs.
    """

    arms: list[ArmResult]
    left_out: tuple[LeftOut, ...]


def collect(paths: Sequence[Path]) -> Collected:
    """The arms of runs and sweeps; damaged runs are left out.

    Args:
        paths: folders of runs, and folders of sweeps that stand for all their runs.

    Raises:
        UserError: a path is neither, or there is no run.
        ResumeError: a path is no run, or all runs are damaged.
    """
    arms: dict[str, tuple[str, Loaded, list[RunResult]]] = {}
    left_out: dict[Path, ResumeError] = {}
    for label, path in _runs(paths):
        try:
            run, loaded = rundir.reopen(path)
            result = _result(run, loaded)
            key = spec_hash(loaded, **compared(run, loaded) | {"seed": 0})
        except ResumeError as error:
            if not any(file.exists() for file in (RunDir(path).resolved, RunDir(path).provenance)):
                raise  # a wrong path, which the user can mend at once
            left_out[path] = error
            continue
        own = arms.setdefault(key, (label or loaded.experiment.name, loaded, []))[2]
        if all(run.path.resolve() != other.path.resolve() for other in own):
            own.append(result)
    if left_out and not arms:
        raise ResumeError(
            "report: every run is damaged:\n" + "\n".join(map(str, left_out.values()))
        )
    if not arms:
        why = "".join(f"\n{failure.run}: {failure.reason}" for failure in failures(paths))
        raise UserError(f"report: no runs yet in {', '.join(map(str, paths))}{why}")
    taken: dict[str, int] = {}
    found = [_arm(untaken(label, taken), loaded, runs) for label, loaded, runs in arms.values()]
    return Collected(found, tuple(LeftOut(path, str(why)) for path, why in left_out.items()))


@dataclass(frozen=True)
class Failure:
    """A run of a sweep that failed, and why; it may have no folder."""

    run: str
    reason: str


def failures(paths: Sequence[Path]) -> list[Failure]:
    """Every failed run of the sweeps among some folders whose reason is known."""
    return [
        Failure(str(found.planned), found.reason)
        for path in paths
        if (path / "sweep.json").is_file()
        for found in sweeps.status(*sweeps.reopen(path))
        if found.state == "failed" and found.reason
    ]


def unended(paths: Iterable[Path]) -> int:
    """How many runs of some folders of runs and sweeps have not ended, or are still to come."""
    states, more = [], 0
    for path in paths:
        if (path / "sweep.json").is_file():
            more += sweeps.to_come(sweeps.SweepDir(path))
            states += [found.state for found in sweeps.status(*sweeps.reopen(path))]
        else:
            states.append(sweeps.run_state(RunDir(path)))
    return more + sum(state not in sweeps.ENDED for state in states)


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
    provenance, lines = read_record(run.provenance), tuple(checked_lines(run))
    seed = loaded.experiment.seed
    return RunResult(run.path, seed, sweeps.run_state(run), lines, provenance)


def _arm(label: str, loaded: Loaded, found: list[RunResult]) -> ArmResult:
    done: dict[int, RunResult] = {}
    for run in found:
        if run.state == "done":
            done.setdefault(run.seed, run)
    runs = tuple(done[seed] for seed in sorted(done))
    return ArmResult(label, loaded, runs, tuple(run for run in found if run not in runs))
