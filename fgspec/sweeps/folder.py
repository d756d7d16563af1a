"""The folder of a sweep: the specs of its arms, the runs of each, and the state of every run.

Runs are found by the hash of their spec. So no run is trained twice, however a sweep was stopped.
"""

import fcntl
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fgspec.errors import DamagedRecord, ResumeError, UserError
from fgspec.loading.resolved import identity, resolved_text, spec_hash
from fgspec.sweeps.expand import Sweep
from fgspec.training.logbook import write_json, write_text
from fgspec.training.records import read_record
from fgspec.training.run_folder import RunDir
from fgspec.training.run_folder import reopen as reopen_run
from fgspec.training.run_log import checked_lines

VERSION = 1
_LONGEST_REASON = 1000
DAMAGED = "damaged"
"""The state of a run whose record or log was changed or damaged; its results do not count."""

ENDED = ("done", "failed", DAMAGED)
"""States in which a run is not trained further."""


@dataclass(frozen=True)
class Planned:
    """One run that a sweep asks for.

    Attributes:
        arm: the label of its arm.
        seed: its seed.
        name: the name of its spec, and of the folder that contains the run.
        sha256: the hash of its resolved spec.
        steps: how many updates it has.
        drawn: the fields that were drawn for its arm at random.
    """

    arm: str
    seed: int
    name: str
    sha256: str
    steps: int
    drawn: str = ""

    def __str__(self) -> str:
        """The name of the run in progress messages."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True)
class RunStatus:
    """How far a planned run is.

    Attributes:
        planned: the planned run.
        state: `waiting`, `begun`, `preempted`, `failed`, `done` or `damaged`.
        run: its folder; None as long as it has none.
        step: the step of the last line of its metrics.
        metrics: the last value of each metric so far.
        reason: why it failed, or what is damaged and how to repair it; empty if unknown.
        mendable: whether it failed for a reason that the user can remove, such as missing data, a
            damaged checkpoint or too little memory. The next call of the sweep tries it again.
    """

    planned: Planned
    state: str = "waiting"
    run: Path | None = None
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    mendable: bool = False

    @property
    def over(self) -> bool:
        """Whether the run needs no further training."""
        return self.state in ENDED and not self.mendable


@dataclass(frozen=True)
class SweepDir:
    """The files of one sweep, below `path`."""

    path: Path

    @property
    def record(self) -> Path:
        """The file that lists the planned runs."""
        return self.path / "sweep.json"

    @property
    def trials(self) -> Path:
        """The file with the choices of a search, in order."""
        return self.path / "trials.json"

    def spec(self, arm: str) -> Path:
        """The resolved spec of an arm."""
        return self.path / "specs" / f"{arm}.yaml"

    def log(self, planned: Planned) -> Path:
        """The output of a run's process."""
        return self.path / "logs" / f"{planned.arm}-seed-{planned.seed}.txt"

    def failure(self, planned: Planned) -> Path:
        """The file that says why a run failed. A run that did not, or is tried again, has none."""
        file = f"{planned.arm}-seed-{planned.seed}.{planned.sha256[:8]}.json"
        return self.path / "failures" / file

    def code(self, planned: Planned) -> Path:
        """The file to which a job on a cluster writes the exit code of a run's process."""
        return self.log(planned).with_suffix(f".{planned.sha256[:8]}.code")

    def lock(self, planned: Planned) -> Path:
        """The file that a run's process on a cluster keeps locked."""
        return self.log(planned).with_suffix(f".{planned.sha256[:8]}.lock")


def record(
    folder: SweepDir, sweep: Sweep, steps: Mapping[str, int], to_come: int = 0
) -> list[Planned]:
    """Write the plan of a sweep, or overwrite it; existing runs are kept.

    Args:
        folder: the folder of the sweep, locked.
        sweep: the sweep, with its resolved arms.
        steps: how many updates a run of every arm has, by label.
        to_come: how many runs are still to come, because a search has not chosen their arms yet.

    Returns:
        All runs, in the order in which they are trained.
    """
    planned = [
        Planned(
            arm=arm.label,
            seed=seed,
            name=arm.loaded.experiment.name,
            sha256=spec_hash(arm.loaded, seed=seed),
            steps=steps[arm.label],
            drawn=", ".join(arm.drawn),
        )
        for seed in sweep.seeds
        for arm in sweep.arms
    ]
    write_text(folder.path / "sweep.yaml", sweep.text)
    for arm in sweep.arms:
        write_text(folder.spec(arm.label), resolved_text(arm.loaded))
    runs = [asdict(run) for run in planned]
    about = {"version": VERSION, "name": sweep.name, "runs": runs}
    write_json(folder.record, about | ({"to_come": to_come} if to_come else {}))
    return planned


def to_come(folder: SweepDir) -> int:
    """How many runs a search is still to choose; 0 for all other sweeps.

    Raises:
        UserError: it is not the folder of a sweep.
    """
    reopen(folder.path)
    count = json.loads(folder.record.read_bytes()).get("to_come", 0)
    return count if isinstance(count, int) else 0


def reopen(path: Path) -> tuple[SweepDir, list[Planned]]:
    """The folder of a sweep and all its planned runs, in the order in which they are trained.

    Raises:
        UserError: `path` is not the folder of a sweep.
    """
    folder = SweepDir(path)
    try:
        record = json.loads(folder.record.read_bytes())
        runs = TypeAdapter(list[Planned]).validate_json(json.dumps(record["runs"]), strict=True)
        return folder, runs
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        raise UserError(
            f"{path}: not a sweep: it has no readable sweep.json; give the folder that "
            "`fgspec sweep` printed"
        ) from None


def status(folder: SweepDir, planned: list[Planned]) -> list[RunStatus]:
    """How far every planned run is."""
    folders: dict[str, dict[str, list[Path]]] = {}
    wanted = {run.sha256 for run in planned}
    for name in {run.name for run in planned}:
        by_hash = folders.setdefault(name, {})
        for path in sorted((folder.path / name).glob("*/provenance.json")):
            recorded = _recorded(path)
            today = recorded if recorded in wanted else _of_today(path.parent)
            today = today or _by_name(path.parent, wanted)
            by_hash.setdefault(today, []).append(path.parent)
    runs = [_run_status(run, folders[run.name].get(run.sha256, [])) for run in planned]
    return [_with_failure(folder, run) for run in runs]


def _with_failure(folder: SweepDir, run: RunStatus) -> RunStatus:
    """The status with a recorded failure; not every failure leaves a run's folder or summary."""
    file = folder.failure(run.planned)
    if run.state == "done" or not file.is_file():
        return run
    try:
        reason = str(json.loads(file.read_bytes())["reason"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        reason = f"{file} cannot be read"
    return replace(run, state="failed", reason=reason, mendable=run.state != "failed")


def fail(folder: SweepDir, planned: Planned, reason: str) -> None:
    """Record why a run failed."""
    write_json(folder.failure(planned), {"reason": " ".join(reason.split())[:_LONGEST_REASON]})


def _recorded(provenance: Path) -> str:
    try:
        return read_record(provenance)["hashes"]["spec"]
    except (DamagedRecord, KeyError, TypeError):
        return ""


@cache
def _of_today(run: Path) -> str:
    """The hash of a run's spec in today's language, which may have more fields than it had then."""
    try:
        loaded, record = reopen_run(run)[1], read_record(run / "provenance.json")
        # Use the recorded versions of packages and code: newer ones may compute something else.
        return identity(loaded.values(), record.get("methods"), record.get("code"))
    except ResumeError:
        return ""


def _by_name(run: Path, wanted: Collection[str]) -> str:
    """The hash of a run whose record cannot be read, by the part of it in the folder's name."""
    return next((sha256 for sha256 in wanted if sha256[:8] in run.name.split("-")), "")


def _run_status(planned: Planned, runs: list[Path]) -> RunStatus:
    """The status of a planned run.

    Of several runs of one spec, the one that ended counts, else the newest. A damaged one counts
    only if there is no other.
    """
    if not runs:
        return RunStatus(planned)
    each = [_look(planned, RunDir(path)) for path in runs]
    return max(each, key=lambda run: (run.state != DAMAGED, run.state in ENDED))


def _look(planned: Planned, run: RunDir) -> RunStatus:
    metrics: dict[str, Any] = {"step": 0}
    try:
        read_record(run.provenance)
        for line in checked_lines(run):
            metrics |= line
        return RunStatus(planned, run_state(run), run.path, metrics.pop("step"), metrics)
    except DamagedRecord as error:
        return RunStatus(planned, DAMAGED, run.path, reason=f"{error}; {remedy(run)}")


def remedy(run: RunDir) -> str:
    """What to do about a damaged run."""
    return (
        f"fgspec train --resume {run.path} resumes from the last part of it that is intact, or "
        "remove the folder to train it again"
    )


def run_state(run: RunDir) -> str:
    """How a run ended; `begun` if it has not ended or was killed.

    Raises:
        DamagedRecord: its summary is damaged.
    """
    if not run.summary.exists():
        return "begun"
    state = read_record(run.summary).get("status")
    if not isinstance(state, str):
        raise DamagedRecord(f"{run.summary}: is damaged: it has no status")
    return state


@contextmanager
def locked(folder: SweepDir, say: Callable[[str], None]) -> Iterator[int]:
    """Create the folder, wait until no other process runs its sweep, and lock it.

    Yields the descriptor of the lock. Processes that inherit it hold the lock too, even if their
    parent is killed.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{folder.path}: cannot be created ({reason}); choose another folder"
        ) from None
    with (folder.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting: another process, or one that it started, is running {folder.path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
