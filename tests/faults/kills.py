"""`kill -9` of training processes, half of them while a checkpoint is written."""

import random
from pathlib import Path

from tests.faults.outcome import Outcome
from tests.faults.trained import (
    Runs,
    has_traceback,
    last_step,
    new_outcome,
    numbered,
    pause,
    saving,
    trains,
)

TITLE = "kill -9, half of them inside a save"

COUNT = 100
OF_ONE_RUN = 5
"""Kills before a run may end: each start costs seconds, and each makes the next resume."""


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Kill processes, resume them, and compare each run that ended with an undisturbed one.

    Args:
        count: kills; 100 if None.
        folder: of the runs.
        seed: of the moments.
    """
    wanted, chance, outcome = count or COUNT, random.Random(seed), new_outcome()
    runs = Runs(folder / "kills")
    for place in numbered(runs.folder):
        if outcome.tried >= wanted:
            return outcome
        ended, kills = False, 0
        while not ended and kills < min(OF_ONE_RUN, wanted - outcome.tried):
            ended = not _killed(runs, place, chance, inside=kills % 2 == 0, outcome=outcome)
            kills += not ended
        outcome.tried += kills
        if runs.resumed(place, outcome, f"after {kills} kills"):
            outcome.survived += kills
    return outcome


def _killed(runs: Runs, place: Path, chance: random.Random, inside: bool, outcome: Outcome) -> bool:
    """Whether a process was killed before it ended of its own accord."""
    before, trial = last_step(place), runs.start(place)

    def goes_on() -> bool:
        return last_step(place) > before if before else trains(place)

    there = trial.wait_for(goes_on)
    if there and inside:
        there = trial.wait_for(lambda: saving(place))
    elif there:
        pause(chance, 0.2)
    saved = last_step(place)
    trial.kill()
    if there and last_step(place) < saved:
        outcome.lost.append(f"{place.name}: step {saved} was saved, {last_step(place)} is left")
    if has_traceback(trial.output()):
        outcome.tracebacks.append(f"{place.name}: before it was killed")
    return there and trial.process.returncode == -9
