"""What is kept of a run whose numbers broke: enough to run the steps up to there once more.

A bundle is itself the folder of a run, with one checkpoint: the last good one. Beside the run's
spec and record it holds `bundle.json` and `batches.npy`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgspec.errors import DamagedRecord, UserError
from fgspec.training.health import Broken
from fgspec.training.manifest import describe
from fgspec.training.records import read_record, write_record
from fgspec.training.run_folder import RunDir


@dataclass(frozen=True)
class Bundle:
    """One bundle.

    Attributes:
        run: its folder, as that of a run.
        step: at which something broken was seen.
        start: step of its checkpoint; 0 without one, to begin at the first.
        reason: what was seen.
        diverged: whether all numbers were finite.
        examples: [steps, B], places in the training set of the examples of the steps between.
    """

    run: RunDir
    step: int
    start: int
    reason: str
    diverged: bool
    examples: NDArray[np.int32]


def keep_bundle(
    run: RunDir, broken: Broken, start: int, examples: NDArray[np.int32], seed: int, key: list[int]
) -> Path:
    """Write a bundle into the folder of a run; one of the same step is replaced.

    Args:
        run: the run, whose checkpoints are all on disk.
        broken: what ended it.
        start: step of the last good checkpoint; 0 if there is none.
        examples: [steps, B], places in the training set of the examples of the steps after it.
        seed: of the run.
        key: raw key of the run.
    """
    path = run.path / "bundles" / f"step-{broken.step}"
    shutil.rmtree(path, ignore_errors=True)
    kept = RunDir(path)
    path.mkdir(parents=True)
    for name in (run.spec.name, run.resolved.name, run.provenance.name):
        shutil.copyfile(run.path / name, path / name)
    if start:
        shutil.copytree(run.checkpoints / str(start), kept.checkpoints / str(start))
    np.save(path / "batches.npy", examples)
    said = {"step": broken.step, "from": start, "reason": str(broken), "diverged": broken.diverged}
    digest = describe(examples).sha256
    write_record(path / "bundle.json", said | {"seed": seed, "key": key, "batches": digest})
    return path


def read_bundle(path: Path) -> Bundle:
    """The bundle in a folder.

    Raises:
        UserError: there is none.
        DamagedRecord: it was changed.
    """
    record = path / "bundle.json"
    if not record.is_file():
        raise UserError(
            f"{path}: not a bundle: it has no bundle.json; give the folder that the run printed "
            "when it ended, such as runs/NAME/RUN/bundles/step-12"
        )
    said = read_record(record)
    try:
        examples = np.load(path / "batches.npy", allow_pickle=False)
        found = Bundle(
            RunDir(path), said["step"], said["from"], said["reason"], said["diverged"], examples
        )
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DamagedRecord(f"{path}: is damaged: {error}") from None
    if describe(examples).sha256 != said.get("batches"):
        raise DamagedRecord(f"{path / 'batches.npy'}: was changed since it was written")
    return found
