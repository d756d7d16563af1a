"""The folder of a sweep: its arms as specs, the runs of each, and which are still to be done.

What was run is found by the hash of its spec, so nothing is run twice whatever happened meanwhile.
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
"""The state of a run whose record or log is not what was written: nothing of it counts."""

ENDED = ("done", "failed", DAMAGED)
"""States that no further training changes."""


@dataclass(frozen=True)
class Planned:
    """One run that a sweep asks for.

    Attributes:
        arm: label of its arm.
        seed: of the run.
        name: of its spec, and so of the folder that holds it.
        sha256: of its resolved spec.
        steps: updates in all.
        drawn: what was drawn for its arm at random.
    """

    arm: str
    seed: int
    name: str
    sha256: str
    steps: int
    drawn: str = ""

    def __str__(self) -> str:
        """As progress names it."""
        return f"{self.arm} seed {self.seed}"


@dataclass(frozen=True)
class Found:
    """What there is of a planned run.

    Attributes:
        planned: what was asked for.
        state: `waiting`, `begun`, or how it ended: `preempted`, `failed` or `done`; `damaged`.
        run: its folder, once there is one.
        step: of the last line of its metrics.
        metrics: the last value of each, as known so far.
        reason: why it failed, or what is damaged and what mends it, if that is known.
        mendable: whether it failed before or beside its training, by what a user can mend: data, a
            checkpoint, memory. The next call of the sweep tries it again.
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
        """Whether nothing is to be done for it any more."""
        return self.state in ENDED and not self.mendable


@dataclass(frozen=True)
class SweepDir:
    """The files of one sweep, below `path`."""

    path: Path

    @property
    def record(self) -> Path:
        """What is planned."""
        return self.path / "sweep.json"

    @property
    def trials(self) -> Path:
        """What a search chose, in order."""
        return self.path / "trials.json"

    def spec(self, arm: str) -> Path:
        """The resolved spec of an arm."""
        return self.path / "specs" / f"{arm}.yaml"

    def log(self, planned: Planned) -> Path:
        """What the process of a run printed."""
        return self.path / "logs" / f"{planned.arm}-seed-{planned.seed}.txt"

    def failure(self, planned: Planned) -> Path:
        """Why a run failed; there is none where it did not, or is tried again."""
        file = f"{planned.arm}-seed-{planned.seed}.{planned.sha256[:8]}.json"
        return self.path / "failures" / file

    def code(self, planned: Planned) -> Path:
        """The exit code of the process of a run, where a job of a cluster leaves it."""
        return self.log(planned).with_suffix(f".{planned.sha256[:8]}.code")

    def lock(self, planned: Planned) -> Path:
        """What the process of a run on a cluster holds locked."""
        return self.log(planned).with_suffix(f".{planned.sha256[:8]}.lock")


def record(
    folder: SweepDir, sweep: Sweep, steps: Mapping[str, int], to_come: int = 0
) -> list[Planned]:
    """Write down, or once more, what a sweep asks for; runs that are there stay.

    Args:
        folder: of the sweep, locked.
        sweep: its arms, resolved.
        steps: updates of a run of every arm.
        to_come: further runs, whose arms a search has yet to choose.

    Returns:
        Every run, in the order in which they are run.
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
    """How many further runs a search will choose; 0 of every other sweep.

    Raises:
        UserError: it is no sweep's folder.
    """
    reopen(folder.path)
    found = json.loads(folder.record.read_bytes()).get("to_come", 0)
    return found if isinstance(found, int) else 0


def reopen(path: Path) -> tuple[SweepDir, list[Planned]]:
    """A sweep's folder and every run it asks for, in the order in which they are run.

    Raises:
        UserError: `path` is no sweep's folder.
    """
    folder = SweepDir(path)
    try:
        record = json.loads(folder.record.read_bytes())
        runs = TypeAdapter(list[Planned]).validate_json(json.dumps(record["runs"]), strict=True)
        return folder, runs
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        raise UserError(
            f"{path}: not a sweep: it has no readable sweep.json; give the folder that "
            "`fgspec sweep` named"
        ) from None


def status(folder: SweepDir, planned: list[Planned]) -> list[Found]:
    """What there is of every planned run."""
    known: dict[str, dict[str, list[Path]]] = {}
    wanted = {run.sha256 for run in planned}
    for name in {run.name for run in planned}:
        runs = known.setdefault(name, {})
        for path in sorted((folder.path / name).glob("*/provenance.json")):
            recorded = _recorded(path)
            today = recorded if recorded in wanted else _of_today(path.parent)
            today = today or _by_name(path.parent, wanted)
            runs.setdefault(today, []).append(path.parent)
    found = [_found(run, known[run.name].get(run.sha256, [])) for run in planned]
    return [_with_failure(folder, one) for one in found]


def _with_failure(folder: SweepDir, found: Found) -> Found:
    """A run, and why it failed if it did: not every failure leaves a run's folder or a summary."""
    file = folder.failure(found.planned)
    if found.state == "done" or not file.is_file():
        return found
    try:
        reason = str(json.loads(file.read_bytes())["reason"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        reason = f"{file} cannot be read"
    return replace(found, state="failed", reason=reason, mendable=found.state != "failed")


def fail(folder: SweepDir, planned: Planned, reason: str) -> None:
    """Write down why a run failed."""
    write_json(folder.failure(planned), {"reason": " ".join(reason.split())[:_LONGEST_REASON]})


def _recorded(provenance: Path) -> str:
    try:
        return read_record(provenance)["hashes"]["spec"]
    except (DamagedRecord, KeyError, TypeError):
        return ""


@cache
def _of_today(run: Path) -> str:
    """The hash of a run's spec with the fields that the language has got since it began."""
    try:
        loaded, record = reopen_run(run)[1], read_record(run / "provenance.json")
        # Packages and other code count as they were: newer ones may compute something else.
        return identity(loaded.values(), record.get("methods"), record.get("code"))
    except ResumeError:
        return ""


def _by_name(run: Path, wanted: Collection[str]) -> str:
    """Which of the hashes a run is of whose record cannot be read: its folder's name has a part."""
    return next((sha256 for sha256 in wanted if sha256[:8] in run.name.split("-")), "")


def _found(planned: Planned, runs: list[Path]) -> Found:
    """Of several runs of one spec the one that ended, else the newest; a damaged one at last."""
    if not runs:
        return Found(planned)
    each = [_look(planned, RunDir(path)) for path in runs]
    return max(each, key=lambda found: (found.state != DAMAGED, found.state in ENDED))


def _look(planned: Planned, run: RunDir) -> Found:
    metrics: dict[str, Any] = {"step": 0}
    try:
        read_record(run.provenance)
        for line in checked_lines(run):
            metrics |= line
        return Found(planned, run_state(run), run.path, metrics.pop("step"), metrics)
    except DamagedRecord as error:
        return Found(planned, DAMAGED, run.path, reason=f"{error}; {remedy(run)}")


def remedy(run: RunDir) -> str:
    """What to do about a damaged run."""
    return (
        f"fgspec train --resume {run.path} goes back to where its record holds, or remove the "
        "folder to train it again"
    )


def run_state(run: RunDir) -> str:
    """How a run ended; `begun` if it did not yet, or was killed.

    Raises:
        DamagedRecord: its summary is damaged.
    """
    if not run.summary.exists():
        return "begun"
    state = read_record(run.summary).get("status")
    if not isinstance(state, str):
        raise DamagedRecord(f"{run.summary}: is damaged: it says no status")
    return state


@contextmanager
def locked(folder: SweepDir, say: Callable[[str], None]) -> Iterator[int]:
    """Make the folder, and wait until no other process runs its sweep; yields a descriptor.

    Processes that inherit the descriptor hold the lock as well, though their parent be killed.

    Raises:
        UserError: the folder cannot be made.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{folder.path}: cannot be made ({reason}); choose another folder"
        ) from None
    with (folder.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting: {folder.path} is being run by another process, or by what one started")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
