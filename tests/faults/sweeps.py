"""Sweeps with arms that fail in every way: the others go on, and what was mended is trained.

Each fault is made to one arm of three. The sweep is killed at a random line of a log or not, and
called again until it ends; then the fault is mended, and it is called once more.
"""

import contextlib
import os
import random
import shutil
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from PIL import Image

from fgspec import api
from fgspec.sweeps.folder import reopen, status
from fgspec.training.logbook import Logbook
from tests.faults.command import fgspec
from tests.faults.outcome import Outcome

TITLE = "sweeps with failing arms, killed and completed"
SMALL = 1
COUNT = 40
CALLS = 6
"""Of a sweep, after which it must have ended."""

BASE = """\
fgspec: 1
name: tiny
data: {source: {type: digits}, batch_size: 8, standardize: false}
architecture: {type: mlp, hidden: [4]}
optimizer: {type: sgd, learning_rate: 0.1}
training: {steps: 4, evaluate_every: {steps: 2}, log_every: {steps: 1}}
checkpoint: {every: {steps: 1}, keep: 9}
"""
SWEEP = """\
fgspec: 1
name: s
base: tiny.yaml
arms:
  one: {optimizer.learning_rate: 0.1}
  bad: {%s}
  two: {optimizer.learning_rate: 0.2}
"""


class Killed(BaseException):
    """The process ended here."""


class Fault:
    """What is done to the arm `bad`, and undone.

    Attributes:
        changes: the fields of the arm.
        refused: whether the sweep refuses it before anything is trained.
        final: whether the failure is a result, which is not tried again.
        stops: updates after which the run is stopped before the fault is made; 0 for never.
        reason: what is said of it.
    """

    changes = "optimizer.learning_rate: 0.3"
    refused = False
    final = False
    stops = 0
    reason = ""

    def prepare(self):
        """Write what the arm needs."""

    def make(self, run):
        """Make the fault; `run` is the folder of the run, if it has begun."""

    def mend(self, run):
        """Undo it."""

    @contextlib.contextmanager
    def acting(self):
        """While the sweep runs."""
        yield


def _npz(path, seed):
    rng = np.random.default_rng(seed)
    parts = {"train": 40, "test": 8}
    arrays = {
        f"{part}_images": rng.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8)
        for part, n in parts.items()
    }
    np.savez(path, **arrays, **{f"{part}_labels": np.arange(n) % 4 for part, n in parts.items()})


class Vanished(Fault):
    """The data are gone."""

    changes = "data.source: {type: npz, path: own.npz}"
    refused = True
    reason = "own.npz"

    def prepare(self):
        _npz("own.npz", 0)

    def make(self, run):
        Path("own.npz").rename("away.npz")

    def mend(self, run):
        Path("away.npz").rename("own.npz")


class DamagedImage(Fault):
    """An image cannot be decoded, which is seen when a batch needs it."""

    changes = (
        "data.source: {type: image_folder, path: own, size: 8, mean: [0.5, 0.5, 0.5], "
        "std: [0.2, 0.2, 0.2]}, data.standardize: true"
    )
    reason = "3.png"

    def prepare(self):
        rng = np.random.default_rng(0)
        for part, number in (("train", 16), ("val", 8)):
            for index in range(number):
                folder = Path(f"own/{part}/class{index % 2}")
                folder.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")

    def make(self, run):
        self.whole = Path("own/train/class1/3.png").read_bytes()
        Path("own/train/class1/3.png").write_bytes(self.whole[:60])

    def mend(self, run):
        Path("own/train/class1/3.png").write_bytes(self.whole)


class ChangedData(Vanished):
    """Between two calls the data became others."""

    refused = False
    stops = 2
    reason = "data"

    def make(self, run):
        Path("own.npz").rename("away.npz")
        _npz("own.npz", 1)


class NoCheckpoint(Fault):
    """Every checkpoint of a run that was stopped is damaged."""

    stops = 2
    reason = "none of the checkpoints can be used"

    def make(self, run):
        shutil.copytree(run / "checkpoints", "whole")
        for file in (run / "checkpoints").rglob("*"):
            if file.is_file():
                file.write_bytes(b"")

    def mend(self, run):
        shutil.rmtree(run / "checkpoints")
        shutil.move("whole", run / "checkpoints")


class InTheWay(Fault):
    """A file lies where the run's folder belongs."""

    reason = "cannot be created"

    def make(self, run):
        Path("runs/s").mkdir(parents=True)
        Path("runs/s/s-bad").write_text("")

    def mend(self, run):
        Path("runs/s/s-bad").unlink()


class NotFinite(Fault):
    """The arm's numbers break."""

    changes = "optimizer.learning_rate: 1.0e+38"
    final = True


class Raises(Fault):
    """Something that nobody foresaw, or memory that runs out."""

    def __init__(self, error, reason):
        self.error, self.reason = error, reason

    @contextlib.contextmanager
    def acting(self):
        prepared = api._prepared

        def raising(course, *rest):
            if course.loaded.experiment.name == "s-bad":
                raise self.error
            return prepared(course, *rest)

        with mock.patch.object(api, "_prepared", raising):
            yield


FAULTS = (
    *(DamagedImage, Vanished, ChangedData, NoCheckpoint, InTheWay, NotFinite),
    lambda: Raises(KeyError("by hand"), "KeyError"),
    lambda: Raises(MemoryError("by hand"), "needs more memory"),
)


def run(count, folder, seed):
    """Make faults one after the other; see `Outcome`."""
    found, rng, truth = Outcome(), random.Random(seed), {}
    for index in range(COUNT if count is None else count):
        place = folder / str(index)
        place.mkdir()
        os.chdir(place)
        fault = FAULTS[(index + seed) % len(FAULTS)]()
        found.tried += 1
        before = len(found.bad)
        _try(fault, rng, truth, found, f"{index} {type(fault).__name__}")
        found.survived += len(found.bad) == before
        jax.clear_caches()
    return found


def _try(fault, rng, truth, found, what):
    Path("tiny.yaml").write_text(BASE)
    Path("s.yaml").write_text(SWEEP % fault.changes)
    fault.prepare()
    if fault.stops:
        _sweep(found, what, stop=("s-bad", fault.stops))
    fault.make(_run("bad"))
    with fault.acting():
        code = _until_ended(found, what, rng)
    if fault.refused:
        if code != 2:
            found.silent.append(f"{what}: not refused")
    elif _states() != {"one": "done", "bad": "failed", "two": "done"}:
        found.lost.append(f"{what}: {_states()}")
    else:
        for verb in ("status", "report"):
            code, out, err = fgspec(verb, "runs/s")
            _look(found, what, verb, out + err)
            if code or fault.reason not in out:
                found.silent.append(f"{what}: {verb} does not say {fault.reason!r}: {out}{err}")
    fault.mend(_run("bad"))
    code = _until_ended(found, what, rng)
    wanted = "failed" if fault.final else "done"
    if _states() != {"one": "done", "bad": wanted, "two": "done"}:
        found.lost.append(f"{what}: mended: {_states()}")
    for arm, numbers in _results().items():
        if truth.setdefault((arm, arm == "bad" and fault.changes), numbers) != numbers:
            found.silent.append(f"{what}: {arm}: other numbers than without the fault")


def _until_ended(found, what, rng):
    """Call the sweep until it was not killed; its exit code."""
    code = None
    for _ in range(CALLS):
        kill = rng.randint(1, 12) if rng.random() < 0.5 else None
        code = _sweep(found, what, kill=kill)
        if code is not None:
            return code
    found.lost.append(f"{what}: not ended after {CALLS} calls")
    return code


def _sweep(found, what, kill=None, stop=None):
    """Call the sweep; its exit code, None if it was killed."""
    write, lines = Logbook.write, []

    def writing(self, *line, **more):
        lines.append(line)
        if len(lines) == kill:
            raise Killed
        return write(self, *line, **more)

    @contextlib.contextmanager
    def signals():
        # Every update asks whether it is to stop.
        name, updates = stop
        asked = iter(range(1, 10**6))
        yield lambda: next(asked) >= updates if _under_way() == name else False

    with contextlib.ExitStack() as patches:
        if kill:
            patches.enter_context(mock.patch.object(Logbook, "write", writing))
        if stop:
            patches.enter_context(mock.patch.object(api, "stop_signals", signals))
        try:
            code, out, err = fgspec("sweep", "s.yaml")
        except Killed:
            return None
    _look(found, what, "sweep", out + err)
    return code


def _under_way():
    """The name of the experiment whose run was begun last."""
    runs = sorted(Path("runs/s").glob("s-*/*/"), key=lambda path: path.stat().st_ctime_ns)
    return runs[-1].parent.name if runs else ""


def _look(found, what, verb, text):
    if "Traceback" in text:
        found.tracebacks.append(f"{what}: {verb}: {text.strip().splitlines()[-1]}")


def _found():
    return status(*reopen(Path("runs/s"))) if Path("runs/s/sweep.json").exists() else []


def _states():
    return {found.planned.arm: found.state for found in _found()}


def _run(arm):
    return next((found.run for found in _found() if found.planned.arm == arm), None)


def _results():
    """What each arm that is done measured at last, but for times."""
    return {
        found.planned.arm: {k: v for k, v in found.metrics.items() if k.startswith("test/")}
        for found in _found()
        if found.state == "done"
    }
