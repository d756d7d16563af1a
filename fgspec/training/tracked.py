"""What trackers of other packages share: names, tags, and how a resumed run is found again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgspec.loading.resolved import leaves
from fgspec.problems.problems import dotted, flow
from fgspec.training.logbook import write_json
from fgspec.training.records import read_record
from fgspec.training.run_folder import RunDir

FILE = "tracked.json"
"""A file in a run's folder with the name of the run in each tracker, which a resumed run needs."""


def remembered(run_folder: Path, place: str) -> dict[str, str] | None:
    """What a tracker recorded about this run; None if it tracks the run for the first time.

    Args:
        run_folder: the folder of the run.
        place: where the run is tracked, such as `wandb fgspec`. In another place it is a new run.
    """
    return _all(run_folder).get(place)


def remember(run_folder: Path, place: str, what: Mapping[str, str]) -> None:
    """Record what a tracker needs to continue this run."""
    write_json(run_folder / FILE, {**_all(run_folder), place: dict(what)})


def _all(run_folder: Path) -> dict[str, Any]:
    file = run_folder / FILE
    return json.loads(file.read_text()) if file.exists() else {}


def label(run_folder: Path, values: Mapping[str, Any]) -> str:
    """The name of a run in trackers, made from the names of its spec and its folder."""
    return f"{values['name']}-{run_folder.resolve().name}"


def tags(run_folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a run: the name of its spec, its rule if it names one, and the spec's hash."""
    name = {"name": str(values["name"])}
    if not (file := RunDir(run_folder).provenance).exists():
        return name
    record = read_record(file)
    rule = {"rule": record["rule"]} if "rule" in record else {}
    return name | rule | {"spec_sha256": record["hashes"]["spec"]}


def plain(values: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Every value of a resolved spec by its path, such as `optimizer.learning_rate`.

    Lists and null are converted to text.
    """
    return {
        dotted(path): value if isinstance(value, bool | int | float | str) else flow(value)
        for path, value in leaves(values)
    }
