"""A tiny network, trained by real processes that can be signalled, killed and compared."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.outcome import Outcome

SPEC = """
fgspec: 1
name: tiny
rule: lg-fg-a
seed: 0
data: {source: {type: digits}, batch_size: 128}
architecture:
  type: local_mixer
  blocks: 2
  patches: 2
  channels: 32
  groups: 4
  normalization: {epsilon: 0.01}
optimizer: {type: sgd, learning_rate: 0.05, momentum: 0.9, schedule: {type: linear}}
training: {epochs: %(epochs)d, evaluate_every: {epochs: 2}, log_every: {epochs: 1}}
checkpoint: {every: {steps: %(save_every)d}}
mesh: {data: %(processes)d}
"""

EPOCH = 11
"""Updates of an epoch."""

PATIENCE = 300.0
"""Seconds for anything that a process does on a busy machine."""


@dataclass
class Trial:
    """One process, or `fgspec launch` and its processes, and what it prints.

    Attributes:
        process: the one that was started.
        printed: the file of its standard output and error.
    """

    process: subprocess.Popen[bytes]
    printed: Path

    def output(self) -> str:
        """All that was printed so far."""
        return self.printed.read_text(errors="replace")

    def wait_for(self, there: Callable[[], bool]) -> bool:
        """Whether something came to be before the process ended."""
        until = time.monotonic() + PATIENCE
        while not there():
            if self.process.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def wait(self, patience: float = PATIENCE) -> int | None:
        """The exit code; None if it did not end in time, when it is killed."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def heeds_signals(self) -> bool:
        """Whether Python is so far that it handles SIGTERM."""
        return bool(_caught(self.process.pid) >> (signal.SIGTERM - 1) & 1)

    def ranks(self) -> list[int]:
        """The processes that `fgspec launch` started, in order."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]


def _caught(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16)
    return 0


@dataclass
class Runs:
    """Runs of one spec, compared with one that nobody disturbed.

    Attributes:
        folder: of the spec, of all runs and of the compiled programs.
        epochs: of a run.
        save_every: steps between two checkpoints.
        processes: that train a run together.
    """

    folder: Path
    epochs: int = 60
    save_every: int = EPOCH
    processes: int = 1
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spec = self.folder / "tiny.yaml"
        values = {name: getattr(self, name) for name in ("epochs", "save_every", "processes")}
        self.spec.write_text(SPEC % values)
        cache = self.folder.parent / "compiled"
        self.environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "FGSPEC_CACHE": str(cache.absolute()),
            "PYTHONUNBUFFERED": "1",
        } | self.environment
        self._reference: tuple[object, object] | None = None

    @property
    def command(self) -> list[str]:
        """Without the folder of the run."""
        fgspec = [sys.executable, "-m", "fgspec"]
        if self.processes == 1:
            return [*fgspec, "train", str(self.spec)]
        how = ["--processes", str(self.processes), "--devices-per-process", "1", "--retries", "0"]
        return [*fgspec, "launch", str(self.spec), *how]

    def start(self, run: Path, *more: str) -> Trial:
        """Begin or resume the run in a folder."""
        command = [*self.command, "--run", str(run), *more]
        return self.started(command, run.with_name(f"{run.name}.txt"))

    def started(self, command: Sequence[str], printed: Path, limit: int | None = None) -> Trial:
        """Start a command, with a limit to the bytes of its files if one is given."""
        limited = ["prlimit", f"--fsize={limit}"] if limit is not None else []
        with printed.open("wb") as file:
            process = subprocess.Popen(
                [*limited, *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                start_new_session=True,
            )
        return Trial(process, printed)

    def wrong(self, run: Path) -> str | None:
        """What a finished run has not in common with an undisturbed one."""
        if self._reference is None:
            undisturbed = self.folder / "undisturbed"
            trial = self.start(undisturbed)
            if trial.wait() != 0:
                raise RuntimeError(f"the undisturbed run failed:\n{trial.output()}")
            self._reference = self._ended(undisturbed)
        state, lines = self._ended(run)
        if state != self._reference[0]:
            return "its final state differs"
        return None if lines == self._reference[1] else "its metrics differ"

    def resumed(self, run: Path, outcome: Outcome, after: str) -> bool:
        """Let a run go on to its end, and note what is wrong with it; whether nothing is.

        Args:
            run: its folder.
            outcome: where it is noted.
            after: what befell the run before.
        """
        trial = self.start(run)
        code, said = trial.wait(), trial.output()
        if has_traceback(said):
            outcome.tracebacks.append(f"{run.name}: {said.strip().splitlines()[-1]}")
        elif code != 0:
            outcome.lost.append(f"{run.name}: exit code {code} {after}")
        elif wrong := self.wrong(run):
            outcome.silent.append(f"{run.name}: {wrong} {after}")
        else:
            return True
        return False

    def _ended(self, run: Path) -> tuple[object, object]:
        step = last_step(run)
        body = json.loads((run / "checkpoints" / str(step) / "meta" / "metadata").read_text())
        return (step, body["body"]["leaves"]), lines(run)


def lines(run: Path) -> list[dict[str, object]]:
    """The metrics of a run without times, which no two runs share."""
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("perf/", "data/", "time", "digest")  # a digest is of times too
    return [{k: v for k, v in line.items() if not k.startswith(timed)} for line in read]


def last_step(run: Path) -> int:
    """The step of the newest checkpoint; 0 without any."""
    with contextlib.suppress(OSError):
        names = os.listdir(run / "checkpoints")
        return max((int(name) for name in names if name.isdigit()), default=0)
    return 0


def saving(run: Path) -> bool:
    """Whether a checkpoint is being written."""
    with contextlib.suppress(OSError):
        return any("tmp" in name for name in os.listdir(run / "checkpoints"))
    return False


def trains(run: Path) -> bool:
    """Whether the first metrics are written."""
    with contextlib.suppress(OSError):
        return (run / "metrics.jsonl").stat().st_size > 0
    return False


def has_traceback(text: str) -> bool:
    """Whether a user would see a defect."""
    return "Traceback" in text


def new_outcome() -> Outcome:
    """Of nothing tried yet."""
    return Outcome(0, 0, [], [], [])


def numbered(folder: Path) -> Iterator[Path]:
    """Folders of runs."""
    number = 0
    while True:
        number += 1
        yield folder / f"run-{number}"


def pause(random_numbers: random.Random, longest: float) -> None:
    """Wait for some time, as chance has it."""
    time.sleep(random_numbers.uniform(0, longest))
