"""The same run started twice: while it trains, at one moment, and after its supervisor died."""

import random
import signal
import time
from pathlib import Path

from tests.faults.outcome import Outcome
from tests.faults.trained import (
    Runs,
    Trial,
    has_traceback,
    lines,
    new_outcome,
    numbered,
    pause,
    trains,
)

TITLE = "a second process on the same run"

COUNT = 30
REFUSED = 3


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Start runs twice, and look at what the first one wrote.

    Args:
        count: second starts; 30 if None. Half of them meet a run that trains, a third begin at the
            same moment as the first, and the others follow a `kill -9` of `fgspec launch`.
        folder: of the runs.
        seed: of the moments.
    """
    wanted, chance, outcome = count or COUNT, random.Random(seed), new_outcome()
    runs = Runs(folder / "double", epochs=100_000)
    both = Runs(folder / "double-two", epochs=100_000, processes=2)
    at_once, orphans = wanted // 3, wanted // 6
    places = numbered(runs.folder)
    _while_it_trains(runs, next(places), wanted - at_once - orphans, outcome)
    for _ in range(at_once):
        _at_the_same_moment(runs, next(places), chance, outcome)
    for _, place in zip(range(orphans), numbered(both.folder), strict=False):
        _after_its_supervisor(both, place, outcome)
    return outcome


def _while_it_trains(runs: Runs, place: Path, starts: int, outcome: Outcome) -> None:
    first = runs.start(place)
    first.wait_for(lambda: trains(place))
    fgspec = runs.command[:3]
    for number in range(starts):
        again = [*runs.command, "--run", str(place)]
        if number % 2:
            again = [*fgspec, "train", "--resume", str(place)]
        second = runs.started(again, place.with_name(f"second-{number}.txt"))
        code, said = second.wait(), second.output()
        _judge(outcome, f"{place}: second start", code, said, str(first.process.pid))
    _stop(first, place, outcome)


def _at_the_same_moment(runs: Runs, place: Path, chance: random.Random, outcome: Outcome) -> None:
    trials = [runs.start(place)]
    pause(chance, 0.3)
    command = [*runs.command, "--run", str(place)]
    trials.append(runs.started(command, place.with_name(f"{place.name}-second.txt")))
    # Whoever was quicker trains; the other is refused.
    trials[0].wait_for(lambda: trains(place) or trials[1].process.poll() is not None)
    trials[1].wait_for(lambda: trials[0].process.poll() is not None)
    ended = [trial for trial in trials if trial.process.poll() is not None]
    alive = [trial for trial in trials if trial.process.poll() is None]
    if len(ended) != 1:
        outcome.tried += 1
        outcome.silent.append(f"{place}: {len(alive)} of two processes train")
    else:
        (loser,), (winner,) = ended, alive
        code = loser.process.returncode
        _judge(outcome, str(place), code, loser.output(), str(winner.process.pid))
        winner.wait_for(lambda: trains(place))
    for trial in alive:
        _stop(trial, place, outcome)


def _after_its_supervisor(runs: Runs, place: Path, outcome: Outcome) -> None:
    first = runs.start(place)
    first.wait_for(lambda: trains(place))
    ranks = first.ranks()
    first.kill()
    outcome.tried += 1
    second = runs.start(place)
    before = trains(place) and place.joinpath("metrics.jsonl").stat().st_mtime_ns
    goes_on = second.wait_for(
        lambda: (
            "step " in second.output()
            and place.joinpath("metrics.jsonl").stat().st_mtime_ns != before
        )
    )
    alive = [rank for rank in ranks if Path(f"/proc/{rank}").exists()]
    if alive or not goes_on:
        outcome.lost.append(
            f"{place}: {len(alive)} processes outlived their supervisor; exit code of the next "
            f"start: {second.process.poll()}"
        )
    else:
        outcome.survived += 1
    if second.process.poll() is None:
        _stop(second, place, outcome)


def _judge(outcome: Outcome, where: str, code: int | None, said: str, holder: str) -> None:
    outcome.tried += 1
    if has_traceback(said):
        outcome.tracebacks.append(f"{where}: {said.strip().splitlines()[-1]}")
    elif code != REFUSED or holder not in said:
        told = said.strip().splitlines()[-1]
        outcome.silent.append(f"{where}: exit code {code}, not refused by process {holder}: {told}")
    else:
        outcome.survived += 1


def _stop(trial: Trial, place: Path, outcome: Outcome) -> None:
    time.sleep(0.5)
    trial.process.send_signal(signal.SIGTERM)
    code, said = trial.wait(), trial.output()
    steps = [line["step"] for line in lines(place)]
    if code != 75 or has_traceback(said):
        outcome.lost.append(f"{place}: the first process ended with {code}")
    if sorted(set(steps)) != steps:
        outcome.silent.append(f"{place}: its metrics have steps twice or out of order")
