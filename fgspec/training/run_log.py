"""The log of a run, checked by the seals that its checkpoints and its summary hold of it."""

import json
from typing import Any

from fgspec.errors import DamagedRecord
from fgspec.training.logbook import Seal, Seals, lines_of, read
from fgspec.training.records import read_record, verified
from fgspec.training.run_folder import RunDir

SEAL = "log"
"""The field of a checkpoint's manifest, and of a summary, that holds the log's seal."""


def checked_lines(run: RunDir) -> list[dict[str, Any]]:
    """The lines of a run's log, each with its `step` and metrics.

    Raises:
        DamagedRecord: the log or the summary is not what was written, naming file and line.
    """
    # Seals first: a run that trains meanwhile makes the log longer, never shorter than a seal.
    seals = seals_of(run)
    return read(run.metrics, seals)


def columns_of(run: RunDir) -> dict[str, list[float | None]]:
    """The numbers of a run's log by name, one a line and None where a line has none.

    Raises:
        DamagedRecord: as `checked_lines`.
    """
    rows = [
        {"step": line.step, **line.about, **line.metrics}
        for line in lines_of(run.metrics, seals_of(run))
    ]
    names = dict.fromkeys(
        name for row in rows for name, value in row.items() if not isinstance(value, str)
    )
    return {name: [row.get(name) for row in rows] for name in names}


def seals_of(run: RunDir) -> Seals:
    """The seals of a run's log, by who took them; of checkpoints, those that are intact.

    Raises:
        DamagedRecord: the summary was changed.
    """
    found = dict[str, Seal]()
    folders = run.checkpoints.iterdir() if run.checkpoints.is_dir() else ()
    for folder in sorted(path for path in folders if path.name.isdecimal()):
        try:
            body = verified(json.loads((folder / "meta" / "metadata").read_bytes()))
            seal = Seal.read(body["extra"].get(SEAL))
        # Whatever is wrong with a checkpoint is told, and mended, where one is restored.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if seal is not None:
            found[f"checkpoint {folder.name}"] = seal
    if run.summary.exists() and (seal := Seal.read(read_record(run.summary).get(SEAL))):
        found[run.summary.name] = seal
    return found


def damage_of(run: RunDir) -> str:
    """What is damaged or missing in a run's log or summary, in one line; empty if nothing is."""
    try:
        checked_lines(run)
    except DamagedRecord as error:
        return str(error)
    return ""
