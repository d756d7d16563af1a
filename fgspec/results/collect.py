"""Reads folders of runs and sweeps, and groups runs that differ only in the seed into arms."""

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
        seed: its seed.
        state: `done`, `failed`, `preempted` or `begun`.
        lines: the lines of its metrics, each with its `step`.
        provenance: the record made when it began.
    """

    path: Path
    seed: int
    state: str
    lines: tuple[dict[str, Any], ...]
    provenance: dict[str, Any]

    def last(self, metric: str) -> float | None:
        """The last value of a metric; None if there is none."""
        values = (line[metric] for line in reversed(self.lines) if metric in line)
        return next(values, None)


@dataclass(frozen=True)
class ArmResult:
    """Runs of one spec with several seeds.

    Attributes:
        label: its name within the report.
        loaded: the spec, with the seed of its first run.
        runs: the runs that are done, one per seed.
        others: runs that are not done, and further runs with the same seed.
    """

    label: str
    loaded: Loaded
    runs: tuple[RunResult, ...]
    others: tuple[RunResult, ...]

    def values(self, metric: str) -> dict[int, float]:
        """The last value of a metric, by seed."""
        last = {run.seed: run.last(metric) for run in self.runs}
        return {seed: value for seed, value in last.items() if value is not None}


@dataclass(frozen=True)
class LeftOut:
    """A run that is not counted, because its record or its log was changed or damaged."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Collected:
    """The runs that were found, by arm.

    Attributes:
        arms: the arms, in the order in which they were given.
        left_out: damaged runs.
    """

    arms: list[ArmResult]
    left_out: tuple[LeftOut, ...]


def collect(paths: Sequence[Path]) -> Collected:
    """Read runs and sweeps and group them into arms; damaged runs are left out.

    Args:
        paths: folders of runs, or of sweeps, which stand for all their runs.

    Raises:
        UserError: a path is not one of these, or there is no run.
        ResumeError: a path is not the folder of a run, or all runs are damaged.
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
                raise  # the path is wrong, so there is no run to leave out
            left_out[path] = error
            continue
        results = arms.setdefault(key, (label or loaded.experiment.name, loaded, []))[2]
        if all(run.path.resolve() != other.path.resolve() for other in results):
            results.append(result)
    if left_out and not arms:
        raise ResumeError(
            "report: every run is damaged:\n" + "\n".join(map(str, left_out.values()))
        )
    if not arms:
        why = "".join(f"\n{failure.run}: {failure.reason}" for failure in failures(paths))
        raise UserError(f"report: no runs yet in {', '.join(map(str, paths))}{why}")
    taken: dict[str, int] = {}
    made = [_arm(untaken(label, taken), loaded, runs) for label, loaded, runs in arms.values()]
    return Collected(made, tuple(LeftOut(path, str(why)) for path, why in left_out.items()))


@dataclass(frozen=True)
class Failure:
    """A run of a sweep that failed, and why; it may have no folder."""

    run: str
    reason: str


def failures(paths: Sequence[Path]) -> list[Failure]:
    """All failed runs of the sweeps among these folders, if the reason is known."""
    return [
        Failure(str(run.planned), run.reason)
        for path in paths
        if (path / "sweep.json").is_file()
        for run in sweeps.status(*sweeps.reopen(path))
        if run.state == "failed" and run.reason
    ]


def unended(paths: Iterable[Path]) -> int:
    """How many runs in folders of runs and sweeps have not ended, or are still to come."""
    states, more = [], 0
    for path in paths:
        if (path / "sweep.json").is_file():
            more += sweeps.to_come(sweeps.SweepDir(path))
            states += [run.state for run in sweeps.status(*sweeps.reopen(path))]
        else:
            states.append(sweeps.run_state(RunDir(path)))
    return more + sum(state not in sweeps.ENDED for state in states)


def _runs(paths: Iterable[Path]) -> Iterable[tuple[str, Path]]:
    """The folder of every run, with the label of its arm if it belongs to a sweep."""
    for path in paths:
        if not (path / "sweep.json").is_file():
            yield "", path
            continue
        for run in sweeps.status(*sweeps.reopen(path)):
            if run.run is not None:
                yield run.planned.arm, run.run


def _result(run: RunDir, loaded: Loaded) -> RunResult:
    provenance, lines = read_record(run.provenance), tuple(checked_lines(run))
    seed = loaded.experiment.seed
    return RunResult(run.path, seed, sweeps.run_state(run), lines, provenance)


def _arm(label: str, loaded: Loaded, results: list[RunResult]) -> ArmResult:
    done: dict[int, RunResult] = {}
    for run in results:
        if run.state == "done":
            done.setdefault(run.seed, run)
    runs = tuple(done[seed] for seed in sorted(done))
    return ArmResult(label, loaded, runs, tuple(run for run in results if run not in runs))
