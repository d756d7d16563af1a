"""Runs of a sweep as jobs of SLURM, submitted by submitit, each an ordinary `fgspec train`.

Jobs outlive whoever submitted them. Before jobs are submitted, a ticket with the runs they stand
for is written into the sweep's folder, and the jobs bear its name; so they are found again in the
queue, even if the sweep was killed before it heard their numbers.
"""

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgspec.errors import STOPPED, UserError
from fgspec.errors.extras import extra
from fgspec.sweeps import engine, engines
from fgspec.sweeps.engine import Gone, Site
from fgspec.sweeps.folder import Found, Planned, SweepDir
from fgspec.sweeps.node import Job
from fgspec.training.logbook import write_json

OVER = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
)
"""States in which a job is over; in all others it waits, runs, or will come back."""

OWN = frozenset({"job_name", "array_parallelism", "stderr_to_stdout"})
"""Parameters of submitit that a sweep sets itself."""


NOTICE = 90
"""Seconds before the end of its time in which submitit tells a job, unless `signal_delay_s` says
otherwise. SLURM may do so a minute earlier."""


@dataclass(frozen=True)
class Listed:
    """A job as SLURM lists it.

    Attributes:
        number: as `scancel` takes it, such as 12 or 12_3.
        state: in SLURM's words.
    """

    number: str
    state: str


class Slurm:
    """Submits runs as one array of jobs, and watches the queue.

    Raises:
        UserError: submitit or SLURM is not installed, or a parameter is wrong.
    """

    pause = 5.0
    at_once = None

    def __init__(self, site: Site) -> None:
        # It puts jobs back into the queue and checks parameters, which `simple-slurm` does not. Its
        # makers look for others to maintain it (its issue 1801); what is used of it is small.
        self._submitit: Any = extra("submitit", "submitit>=1.5.4", "slurm", "sweep: --on slurm")
        self._site = site
        self._numbers: dict[str, str] = {}
        self._runs: dict[str, Planned] = {}
        self._silent = False
        self._parameters = {**site.resources}
        if site.jobs is not None:
            self._parameters["array_parallelism"] = site.jobs
        self._refuse_unknown()

    def _refuse_unknown(self) -> None:
        own = sorted(OWN & self._site.resources.keys())
        if own:
            raise UserError(f"sweep: --resource {own[0]}: is set by the sweep; leave it out")
        # Asked for, because submitit's default is five minutes.
        minutes = self._parameters.get("time")
        if type(minutes) is not int:
            got = f" (got {minutes})" if minutes is not None else ""
            raise UserError(
                "sweep: --on slurm: give --resource time=MINUTES, a whole number; a run that takes "
                f"longer is saved and queued again{got}"
            )
        notice = self._parameters.get("signal_delay_s", NOTICE)
        if type(notice) is not int or 60 * minutes <= notice + 60:
            raise UserError(
                f"sweep: --resource time={minutes}: must be more than a minute and the seconds in "
                f"which a run is saved; give more, or a smaller signal_delay_s (got {notice})"
            )
        with tempfile.TemporaryDirectory() as nowhere:
            self._executor(Path(nowhere), "check")

    def _executor(self, folder: Path, name: str) -> Any:
        try:
            made = self._submitit.SlurmExecutor(folder, max_num_timeout=10**6)
            made.update_parameters(job_name=name, **self._parameters)
        except RuntimeError as error:
            raise UserError(f"sweep: --on slurm: {error}") from None
        except (TypeError, ValueError) as error:
            raise UserError(f"sweep: --resource: {error}") from None
        return made

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """Jobs of earlier calls that are queued or running."""
        wanted = {planned.sha256: planned for planned in todo}
        listed = queue()
        standing = _standing(self._site.folder, listed)
        found = {handle: wanted[sha] for handle, sha in standing.items() if sha in wanted}
        self._numbers.update({handle: listed[handle].number for handle in found})
        self._runs.update(found)
        if found:
            numbers = ", ".join(self._numbers[handle] for handle in found)
            self._site.say(f"queued or running already: {numbers}")
        return found

    def start(self, runs: Sequence[Found]) -> Mapping[str, Planned]:
        """One array of jobs; a single run is a job by itself."""
        folder, token = self._site.folder, secrets.token_hex(4)
        ticket = _ticket(folder, token)
        write_json(ticket, {"runs": [found.planned.sha256 for found in runs]})
        executor = self._executor(folder.path.resolve() / "slurm", _name(folder, token))
        for found in runs:
            folder.code(found.planned).unlink(missing_ok=True)
        try:
            with executor.batch():
                jobs = [executor.submit(Job(engine.order(folder, found))) for found in runs]
        except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
            # The ticket stays: where sbatch only heard no answer, the jobs are there.
            words = _words(getattr(error, "stderr", None) or str(error))
            raise UserError(f"sweep: --on slurm: sbatch refused the jobs: {words}") from None
        handles = {f"{token}.{i}": found.planned for i, found in enumerate(runs)}
        self._numbers.update(zip(handles, (job.job_id for job in jobs), strict=True))
        number = jobs[0].job_id.split("_")[0]
        self._site.say(f"submitted {len(runs)} run{'s' * (len(runs) > 1)} as job {number}")
        self._runs.update(handles)
        return handles

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Jobs that are over, or that SLURM has forgotten."""
        try:
            listed = queue()
        except UserError as error:  # a controller that is busy or away says nothing of its jobs
            self._warn(str(error))
            return {}
        self._silent = False
        standing = _standing(self._site.folder, listed)
        return {h: self._how(h, listed.get(h)) for h in handles if h not in standing}

    def _warn(self, text: str) -> None:
        if not self._silent:
            self._site.say(f"{text}; asking again")
        self._silent = True

    def _how(self, handle: str, job: Listed | None) -> Gone:
        number = self._numbers[handle]
        if job is not None and job.state == "CANCELLED":
            return Gone(STOPPED, f"job {number} was cancelled")
        file = self._site.folder.code(self._runs[handle])
        left = file.read_text().strip() if file.is_file() else ""
        if left:
            return Gone(int(left), f"job {number} {engine.how(int(left))}")
        return Gone(None, f"job {number} is {job.state if job is not None else 'over'}")

    def leave(self, handles: Sequence[str]) -> str:
        """Let jobs go on: they do not need whoever submitted them."""
        if not handles:
            return f"stopped; no job is queued or running: {self._site.folder.path}"
        numbers = sorted({self._numbers[handle].split("_")[0] for handle in handles})
        return (
            f"no longer watching; {len(handles)} runs stay queued or running under SLURM. The same "
            f"command watches them again; scancel {' '.join(numbers)} cancels them"
        )


class OnSlurm(engines.Slurm):
    """The section with what it starts."""

    def begin(self, site: Site) -> Slurm:
        """See `Slurm`."""
        return Slurm(site)

    def refuse_under_way(self, folder: SweepDir) -> None:
        """See `refuse_others`."""
        refuse_others(folder)


def refuse_others(folder: SweepDir) -> None:
    """Raise if jobs of this sweep are queued or running: another engine would run them twice.

    Raises:
        UserError: they are, or SLURM cannot be asked.
    """
    if not _tickets(folder):
        return
    try:
        listed = queue()
    except UserError as error:
        raise UserError(
            f"{error}; jobs of this sweep may be queued or running under SLURM. Go on where squeue "
            f"can be run; or remove {_ticket(folder, '*')} if there are none"
        ) from None
    standing = _standing(folder, listed)
    if standing:
        numbers = ", ".join(listed[handle].number for handle in standing)
        raise UserError(
            f"{folder.path}: jobs {numbers} of this sweep are queued or running under SLURM; give "
            "--on slurm to watch them, or cancel them with scancel"
        )


def queue() -> dict[str, Listed]:
    """The user's jobs that bear a ticket's name, by handle; those of the last minutes too.

    submitit's own watcher needs `sacct`, which clusters without accounting do not have.

    Raises:
        UserError: SLURM cannot be asked.
    """
    ask = ["squeue", "--user", str(os.getuid()), "--noheader", "--array", "--states", "all"]
    try:
        told = subprocess.run([*ask, "--format", "%i|%T|%j"], capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"sweep: squeue cannot be run ({error.strerror})") from None
    if told.returncode:
        raise UserError(f"sweep: squeue: {_words(told.stderr)}")
    listed = {}
    for line in told.stdout.splitlines():
        number, state, name = line.split("|", 2)
        if name.startswith("fgspec-"):
            index = number.partition("_")[2] or "0"
            listed[f"{name.rpartition('-')[2]}.{index}"] = Listed(number, state)
    return listed


def _standing(folder: SweepDir, listed: Mapping[str, Listed]) -> dict[str, str]:
    """The hash of the run of every job that is not over; tickets without such a job are removed."""
    found = dict[str, str]()
    for token, runs in _tickets(folder).items():
        own = {f"{token}.{i}": sha for i, sha in enumerate(runs)}
        alive = {h: sha for h, sha in own.items() if h in listed and listed[h].state not in OVER}
        if not alive:
            _ticket(folder, token).unlink()
        found |= alive
    return found


def _name(folder: SweepDir, token: str) -> str:
    return f"fgspec-{folder.path.name}-{token}"


def _ticket(folder: SweepDir, token: str) -> Path:
    return folder.path / "slurm" / f"{token}.json"


def _tickets(folder: SweepDir) -> dict[str, list[str]]:
    """The hashes of the runs of every ticket."""
    files = sorted((folder.path / "slurm").glob("*.json"))
    return {file.stem: json.loads(file.read_text())["runs"] for file in files}


def _words(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
