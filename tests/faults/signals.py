"""Signals that ask processes to stop: in imports, compilation, training and saving."""

import contextlib
import os
import random
import re
import signal
import time
from pathlib import Path

from tests.faults.outcome import Outcome
from tests.faults.trained import (
    Runs,
    Trial,
    has_traceback,
    last_step,
    new_outcome,
    numbered,
    pause,
    saving,
    trains,
)

TITLE = "signals, to one process and to two"

COUNT = 60
OF_ONE_RUN = 6
IN_TIME = 10.0
"""Seconds in which a run of this size has stopped."""

RESUMES = "resume with|repeat the command"
"""How the last line says how to resume."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Signal runs, resume them to their end, and compare them with undisturbed ones.

    Two thirds of the signals go to runs of one process, a third to runs of two, which save at
    every update and at every third.

    Args:
        count: signals; 60 if None.
        folder: of the runs.
        seed: of the moments.
    """
    wanted, chance, outcome = count or COUNT, random.Random(seed), new_outcome()
    alone = Runs(folder / "signals-alone")
    both = [
        Runs(folder / f"signals-two-{every}", epochs=epochs, save_every=every, processes=2)
        for every, epochs in ((1, 4), (3, 8))
    ]
    of_two = wanted // 3
    _signal(alone, wanted - of_two, chance, outcome)
    _signal(both[0], of_two - of_two // 2, chance, outcome)
    _signal(both[1], of_two // 2, chance, outcome)
    return outcome


def stops_of_two(count: int, folder: Path, seed: int) -> list[float]:
    """Seconds in which runs of two processes stopped after SIGTERM while they trained.

    Raises:
        RuntimeError: one did not stop, or not with exit code 75.
    """
    chance, seconds = random.Random(seed), []
    for number in range(count):
        runs = Runs(folder / "stops", epochs=100_000, save_every=(1, 3)[number % 2], processes=2)
        trial = runs.start(runs.folder / f"run-{number}")
        trial.wait_for(lambda run=runs.folder / f"run-{number}": last_step(run) > 3)
        pause(chance, 1.0)
        began = time.monotonic()
        trial.process.send_signal(signal.SIGTERM)
        if trial.wait() != 75:
            raise RuntimeError(f"exit code {trial.process.returncode}:\n{trial.output()}")
        seconds.append(time.monotonic() - began)
    return seconds


def _signal(runs: Runs, wanted: int, chance: random.Random, outcome: Outcome) -> None:
    left = wanted
    for place in numbered(runs.folder):
        if not left:
            return
        signals = min(OF_ONE_RUN, left)
        problems = [one for n in range(signals) if (one := _one(runs, place, n, chance, outcome))]
        left -= signals
        outcome.tried += signals
        if runs.resumed(place, outcome, f"after {signals} signals"):
            outcome.survived += signals - len(problems)


def _one(
    runs: Runs, place: Path, number: int, chance: random.Random, outcome: Outcome
) -> str | None:
    """Start, signal and wait for a process; what went wrong."""
    sent, trial = chance.choice(SIGNALS), runs.start(place)
    moment = _wait(number % 4, runs, trial, place, chance)
    saved, began = last_step(place), time.monotonic()
    target = trial.process.pid
    if runs.processes > 1 and moment == "training" and chance.random() < 0.5:
        target = chance.choice(trial.ranks() or [target])
    with contextlib.suppress(ProcessLookupError):
        os.kill(target, sent)
    code = trial.wait()
    seconds, said = time.monotonic() - began, trial.output()
    where = f"{place}: {sent.name} in {moment}"
    if has_traceback(said):
        outcome.tracebacks.append(where)
        return where
    # The run may have reached its end before it was told.
    problem = None
    if code not in (75, 0) or (code == 0 and moment in ("imports", "compilation")):
        problem = f"exit code {code}"
    elif seconds > IN_TIME:
        problem = f"stopped after {seconds:.1f} s"
    elif last_step(place) < saved:
        problem = f"step {saved} was saved, {last_step(place)} is left"
    elif code == 75 and not re.search(RESUMES, said.strip().splitlines()[-1]):
        problem = f"does not say how to resume: {said.strip().splitlines()[-1]}"
    if problem:
        outcome.lost.append(f"{where}: {problem}")
    return problem


def _wait(kind: int, runs: Runs, trial: Trial, place: Path, chance: random.Random) -> str:
    """Wait for the moment of a signal; its name."""
    trial.wait_for(trial.heeds_signals)
    if kind == 0:
        pause(chance, 1.0)
        return "imports"
    if kind == 1:
        printed = "FLOPs" if runs.processes == 1 else "note"
        trial.wait_for(lambda: place.is_dir() or printed in trial.output())
        pause(chance, 1.0)
        return "start" if trains(place) else "compilation"
    before = last_step(place)
    trial.wait_for(lambda: last_step(place) > before)
    if kind == 2:
        pause(chance, 0.2)
        return "training"
    trial.wait_for(lambda: saving(place))
    return "saving"
