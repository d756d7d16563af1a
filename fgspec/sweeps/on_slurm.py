"""Trains runs of a sweep as SLURM jobs that submitit submits; each is an `fgspec train`.

Jobs outlive the process that submitted them. Before jobs are submitted, a ticket is written into
the sweep's folder: a file that lists their runs. The names of the jobs contain the ticket's name.
So they are found again in the queue, even if the sweep was killed before it got their numbers.
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
from fgspec.sweeps.folder import Planned, RunStatus, SweepDir
from fgspec.sweeps.node import Job
from fgspec.training.logbook import write_json

OVER = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
)
"""States of a job that has ended; in all other states it waits, runs, or will be queued again."""

OWN = frozenset({"job_name", "array_parallelism", "stderr_to_stdout"})
"""Parameters of submitit that the sweep itself sets."""


NOTICE = 90
"""Seconds before the end of its time at which a job gets a signal to save, by default.

`signal_delay_s` is submitit's parameter for it. SLURM may send the signal up to a minute earlier.
"""


@dataclass(frozen=True)
class Listed:
    """A job in SLURM's queue.

    Attributes:
        number: the job's number in the form that `scancel` takes, such as 12 or 12_3.
        state: SLURM's name of its state.
    """

    number: str
    state: str


class Slurm:
    """Submits runs as one job array, and watches the queue.

    Raises:
        UserError: submitit or SLURM is not installed, or a parameter is wrong.
    """

    pause = 5.0
    at_once = None

    def __init__(self, site: Site) -> None:
        # submitit queues jobs again and checks parameters, which `simple-slurm` does not. Its
        # authors are looking for new maintainers (its issue 1801), but little of it is used here.
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
        # The time is required, because submitit's default is only five minutes.
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
                f"sweep: --resource time={minutes}: must be more than one minute plus "
                "signal_delay_s, the seconds in which a run is saved; give more minutes, or a "
                f"smaller signal_delay_s (got {notice})"
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
        runs = {handle: wanted[sha] for handle, sha in standing.items() if sha in wanted}
        self._numbers.update({handle: listed[handle].number for handle in runs})
        self._runs.update(runs)
        if runs:
            numbers = ", ".join(self._numbers[handle] for handle in runs)
            self._site.say(f"queued or running already: {numbers}")
        return runs

    def start(self, runs: Sequence[RunStatus]) -> Mapping[str, Planned]:
        """Submit the runs as one job array; a single run becomes a plain job."""
        folder, token = self._site.folder, secrets.token_hex(4)
        ticket = _ticket(folder, token)
        write_json(ticket, {"runs": [run.planned.sha256 for run in runs]})
        executor = self._executor(folder.path.resolve() / "slurm", _name(folder, token))
        for run in runs:
            folder.code(run.planned).unlink(missing_ok=True)
        try:
            with executor.batch():
                jobs = [executor.submit(Job(engine.order(folder, run))) for run in runs]
        except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
            # The ticket is kept: if sbatch only got no answer, the jobs may exist.
            words = _words(getattr(error, "stderr", None) or str(error))
            raise UserError(f"sweep: --on slurm: sbatch refused the jobs: {words}") from None
        handles = {f"{token}.{i}": run.planned for i, run in enumerate(runs)}
        self._numbers.update(zip(handles, (job.job_id for job in jobs), strict=True))
        number = jobs[0].job_id.split("_")[0]
        self._site.say(f"submitted {len(runs)} run{'s' * (len(runs) > 1)} as job {number}")
        self._runs.update(handles)
        return handles

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Jobs that have ended, or that SLURM no longer lists."""
        try:
            listed = queue()
        except UserError as error:  # no answer from the controller does not mean that jobs ended
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
        """Let the jobs continue, because they do not need the process that submitted them."""
        if not handles:
            return f"stopped; no job is queued or running: {self._site.folder.path}"
        numbers = sorted({self._numbers[handle].split("_")[0] for handle in handles})
        return (
            f"no longer watching; {len(handles)} runs stay queued or running under SLURM. The same "
            f"command watches them again; scancel {' '.join(numbers)} cancels them"
        )


class OnSlurm(engines.Slurm):
    """The engine `slurm`, with the code that submits its jobs."""

    def begin(self, site: Site) -> Slurm:
        """Check the parameters; see `Slurm`."""
        return Slurm(site)

    def refuse_under_way(self, folder: SweepDir) -> None:
        """See `refuse_others`."""
        refuse_others(folder)


def refuse_others(folder: SweepDir) -> None:
    """Raise if jobs of this sweep are queued or running, because another engine would repeat them.

    Raises:
        UserError: jobs are queued or running, or SLURM cannot be asked.
    """
    if not _tickets(folder):
        return
    try:
        listed = queue()
    except UserError as error:
        raise UserError(
            f"{error}; jobs of this sweep may be queued or running under SLURM. Repeat the command "
            f"where squeue can be run, or remove {_ticket(folder, '*')} if there are no such jobs"
        ) from None
    standing = _standing(folder, listed)
    if standing:
        numbers = ", ".join(listed[handle].number for handle in standing)
        raise UserError(
            f"{folder.path}: jobs {numbers} of this sweep are queued or running under SLURM; give "
            "--on slurm to watch them, or cancel them with scancel"
        )


def queue() -> dict[str, Listed]:
    """The user's jobs that belong to sweeps, by handle, including those that ended recently.

    `squeue` is used because submitit's own watcher needs `sacct`, which clusters without accounting
    do not have.

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
    """The run's hash of every job that has not ended; tickets without such jobs are removed."""
    standing = dict[str, str]()
    for token, runs in _tickets(folder).items():
        jobs = {f"{token}.{i}": sha for i, sha in enumerate(runs)}
        alive = {h: sha for h, sha in jobs.items() if h in listed and listed[h].state not in OVER}
        if not alive:
            _ticket(folder, token).unlink()
        standing |= alive
    return standing


def _name(folder: SweepDir, token: str) -> str:
    return f"fgspec-{folder.path.name}-{token}"


def _ticket(folder: SweepDir, token: str) -> Path:
    return folder.path / "slurm" / f"{token}.json"


def _tickets(folder: SweepDir) -> dict[str, list[str]]:
    """The hashes of the runs in every ticket."""
    files = sorted((folder.path / "slurm").glob("*.json"))
    return {file.stem: json.loads(file.read_text())["runs"] for file in files}


def _words(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
