"""Bits flipped in every file of runs: one that is done, one that was told to stop, one killed.

After each flip the sweep's status, its report, an evaluation and a resume are asked for, through
the functions behind the verbs. An answer may be what it is without the flip; it may leave the run
out and say why; it may come from an older checkpoint, and say so. Nothing else.
"""

import contextlib
import logging
import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fgspec import api
from fgspec.errors import UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import load
from fgspec.results.collect import collect
from fgspec.spec import plugins
from fgspec.sweeps.engine import place
from fgspec.sweeps.expand import load_sweep
from fgspec.sweeps.folder import DAMAGED, RunStatus, SweepDir, record, reopen, status
from fgspec.training import run_folder
from fgspec.training.checkpoint import newest
from fgspec.training.logbook import lines_of
from fgspec.training.loop import Preempted
from fgspec.training.run_folder import RunDir
from tests.faults.outcome import Outcome

TITLE = "flipped bits in every file of a run"
COUNT = 1000
"""Flips that are tried unless another number is asked for."""
SMALL = 5

SPEC = """\
fgspec: 1
name: flips
rule: bp
data: {source: {type: digits}, batch_size: 256}
architecture: {type: mlp, hidden: [8]}
optimizer: {type: sgd, learning_rate: 0.05, momentum: 0.9}
training: {steps: 12, evaluate_every: {steps: 3}, log_every: {steps: 2}}
checkpoint: {every: {steps: 4}, keep: 3}
compile: {steps_per_call: 1}
"""
SWEEP = """\
fgspec: 1
name: three
base: flips.yaml
grid: {optimizer.momentum: [0.9]}
seeds: [0, 1, 2]
"""


def run(count: int | None, folder: Path, seed: int) -> Outcome:
    """Flip bits, one at a time.

    Args:
        count: of flips; `COUNT` if None.
        folder: where runs are made, empty.
        seed: of the choice of bits.
    """
    with _compiled_once(), _warnings() as warned:
        sweep, runs = _made(folder)
        truths = {path: _truth(sweep, path, folder / "truth") for path in runs}
        files = [path for run in runs for path in sorted(run.rglob("*")) if path.is_file()]
        chosen, outcome = random.Random(seed), Outcome()
        for number in range(COUNT if count is None else count):
            file = files[number % len(files)]
            data = file.read_bytes()
            if not data:
                continue
            place = chosen.randrange(8 * len(data))
            outcome.tried += 1
            warned.clear()
            owner = next(path for path in runs if path in file.parents)
            flip = f"{file.relative_to(folder)} bit {place}"
            trial = _Trial(sweep, owner, truths[owner], warned, flip, outcome)
            with _restored_after(owner, folder / "pristine"):
                flipped = bytearray(data)
                flipped[place // 8] ^= 1 << place % 8
                file.write_bytes(flipped)
                outcome.survived += trial.passed()
    return outcome


# ----------------------------------------------------------------------------------- the runs


def _made(folder: Path) -> tuple[Path, list[Path]]:
    """A sweep of three runs: done, told to stop, killed without a summary behind its last save."""
    (folder / "flips.yaml").write_text(SPEC)
    (folder / "three.yaml").write_text(SWEEP)
    sweep = load_sweep(folder / "three.yaml")
    within = SweepDir(folder / "three")
    within.path.mkdir(parents=True)
    planned = record(within, sweep, {arm.label: 12 for arm in sweep.arms})
    runs = []
    for one, stop in zip(planned, (None, 6, 9), strict=True):
        spec = load(within.spec(one.arm), [f"seed={one.seed}"])
        path = place(within, RunStatus(one))
        with _stopping_after(stop), contextlib.suppress(Preempted):
            api.train(spec, run=path)
        runs.append(path)
    killed = RunDir(runs[-1])
    killed.summary.unlink()
    shutil.rmtree(killed.checkpoints / str(max(map(int, _names(killed.checkpoints)))))
    return within.path, runs


@contextlib.contextmanager
def _stopping_after(questions: int | None) -> Iterator[None]:
    """Runs are told to stop when they have asked so often; they ask after steps and batches."""
    before = api.stop_signals

    @contextlib.contextmanager
    def signals() -> Iterator[Callable[[], bool]]:
        asked = iter(range(1, 10**6))
        yield lambda: questions is not None and next(asked) >= questions

    api.stop_signals = signals
    try:
        yield
    finally:
        api.stop_signals = before


@contextlib.contextmanager
def _compiled_once() -> Iterator[None]:
    """What does not depend on a run's files is made once: programs, data, costs, entry points."""
    made, lowered = api._with_data, api.lower_update
    compiled, costs = api.compiled_update, api.dissect
    package_of = plugins.package_of
    programs: dict[tuple[str, Any], Any] = {}

    def with_data(loaded: Any) -> Any:
        key = spec_hash(loaded), loaded.experiment.mesh
        if key not in programs:
            programs[key] = made(loaded)
        return programs[key]

    api._with_data, api.lower_update = with_data, cache(lowered)
    api.compiled_update, api.dissect = cache(compiled), cache(costs)
    plugins.package_of = cache(package_of)
    try:
        yield
    finally:
        api._with_data, api.lower_update = made, lowered
        api.compiled_update, api.dissect = compiled, costs
        plugins.package_of = package_of


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """Lines that fgspec warns with."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("fgspec"), Keep()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


@contextlib.contextmanager
def _restored_after(run: Path, pristine: Path) -> Iterator[None]:
    """Whatever happens to a run inside, it is afterwards as it was."""
    shutil.rmtree(pristine, ignore_errors=True)
    shutil.copytree(run, pristine)
    try:
        yield
    finally:
        shutil.rmtree(run)
        shutil.copytree(pristine, run)


# ----------------------------------------------------------------------------------- the truth


@dataclass
class _Truth:
    """What the verbs answer about a run without a flip.

    Attributes:
        status: of every run of the sweep.
        report: of every run of the sweep: state and lines.
        evaluated: by step of the checkpoint.
        ended: metrics and parameters of the run, resumed to its end.
        files: of the run.
    """

    status: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    evaluated: dict[int, Any] = field(default_factory=dict)
    ended: Any = None
    files: dict[str, bytes] = field(default_factory=dict)


def _truth(sweep: Path, run: Path, spare: Path) -> _Truth:
    truth = _Truth(_status(sweep)[0], _report(sweep)[0], {}, None, _files(run))
    with _restored_after(run, spare):
        for step in sorted(map(int, _names(RunDir(run).checkpoints)), reverse=True):
            truth.evaluated[step] = api.evaluate(run)
            shutil.rmtree(RunDir(run).checkpoints / str(step))
    with _restored_after(run, spare):
        api.train(resume=run)
        truth.ended = _ended(run)
    return truth


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.isdecimal()]


def _files(run: Path) -> dict[str, bytes]:
    found = (path for path in run.rglob("*") if path.is_file())
    return {str(path.relative_to(run)): path.read_bytes() for path in found}


def _status(sweep: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """State and metrics by run, and why runs are left out."""
    found = status(*reopen(sweep))
    said = {str(one.planned): (one.state, one.step, dict(one.metrics)) for one in found}
    return said, {str(one.planned): one.reason for one in found if one.state == DAMAGED}


def _report(sweep: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """State, lines and machine by run, and why runs are left out."""
    collected = collect([sweep])
    said = {
        str(run.path): (arm.label, run.seed, run.state, run.lines, run.provenance)
        for arm in collected.arms
        for run in (*arm.runs, *arm.others)
    }
    return said, {str(run.path): run.reason for run in collected.left_out}


def _ended(run: Path) -> Any:
    """All numbers of a run that is over, without times."""
    lines = [
        (
            line.step,
            {name: value for name, value in line.about.items() if name not in ("time", "digest")},
            _untimed(line.metrics),
        )
        for line in lines_of(RunDir(run).metrics)
    ]
    found, loaded = run_folder.reopen(run)
    program, _ = api._with_data(api.alone(loaded))
    began = run_folder.began_as(found, loaded)
    restored = newest(found.checkpoints, began, program.abstract())
    assert restored is not None
    state = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(restored.state)]
    summary = run_folder.read_record(found.summary)
    told = (summary["status"], summary["step"], _untimed(summary["metrics"]))
    return lines, restored.step, state, told


def _untimed(metrics: Any) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if not k.startswith(("perf/", "data/"))}


# ----------------------------------------------------------------------------------- one flip


@dataclass
class _Trial:
    """One flip, and what is asked after it."""

    sweep: Path
    run: Path
    truth: _Truth
    warned: list[str]
    flip: str
    outcome: Outcome

    def passed(self) -> bool:
        """Whether everything went well; notes what did not."""
        verbs = (self._status, self._report, self._evaluate, self._resume)
        answers = [self._asked(verb) for verb in verbs]
        return all(answers)

    def _asked(self, ask: Callable[[], str]) -> bool:
        """Ask one thing; what is wrong with the answer is empty, or a line."""
        what = ask.__name__.lstrip("_")
        try:
            wrong = ask()
        except UserError as error:
            wrong = "" if self._names_it(str(error)) else f"refusal names no file: {error}"
        except Exception:
            last = traceback.format_exc().strip().splitlines()[-1]
            self.outcome.tracebacks.append(f"{self.flip}: {what}: {last}")
            return False
        if wrong:
            self.outcome.silent.append(f"{self.flip}: {what}: {wrong}")
        return not wrong

    def _names_it(self, text: str) -> bool:
        return str(self.run) in text

    def _compared(self, said: Any, wanted: Any, left_out: dict[str, str]) -> str:
        """What differs; a run may be left out if the reason names its folder."""
        for name, value in wanted.items():
            if name in left_out and self._names_it(left_out[name]):
                continue
            if said.get(name) != value and not self._older(said.get(name), value):
                return f"{name} is {str(said.get(name))[:200]}"
        return ""

    def _older(self, said: Any, wanted: Any) -> bool:
        """Whether a killed run lacks only its last line, which nothing had sealed yet."""
        if RunDir(self.run).summary.exists() or said is None:
            return False
        if isinstance(said[1], int) and said[0] == wanted[0] == "begun":
            return said[1] < wanted[1] and said[2].keys() == wanted[2].keys()
        return said[:3] == wanted[:3] and said[3] == wanted[3][:-1]

    def _status(self) -> str:
        return self._compared(*self._in_order(_status(self.sweep), self.truth.status))

    def _report(self) -> str:
        return self._compared(*self._in_order(_report(self.sweep), self.truth.report))

    @staticmethod
    def _in_order(answer: tuple[Any, dict[str, str]], wanted: Any) -> tuple[Any, Any, Any]:
        return answer[0], wanted, answer[1]

    def _evaluate(self) -> str:
        values = api.evaluate(self.run)
        if values != self.truth.evaluated.get(int(values["step"])):
            return f"says {values}"
        older = values["step"] < max(self.truth.evaluated)
        return "an older checkpoint without a word" if older and not self._told() else ""

    def _told(self) -> bool:
        return any(self._names_it(line) for line in self.warned)

    def _resume(self) -> str:
        before = _files(self.run)
        try:
            api.train(resume=self.run)
        except UserError:
            after = _files(self.run)
            if gone := [name for name, data in before.items() if after.get(name) != data]:
                self.outcome.lost.append(f"{self.flip}: a refused resume changed {gone[0]}")
            raise
        ended = _ended(self.run)
        return "" if ended == self.truth.ended else "the run ended in other numbers"
