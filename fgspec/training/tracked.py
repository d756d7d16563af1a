"""What trackers of other packages have in common: names, tags, and runs that go on."""

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
"""In a run's folder: what each tracker calls the run, so that a resumed one is the same there."""


def remembered(run_folder: Path, place: str) -> dict[str, str] | None:
    """What a tracker wrote down of this run; None if it follows it for the first time.

    Args:
        run_folder: of the run.
        place: where the run is tracked, such as `wandb fgspec`; another place is another run.
    """
    return _all(run_folder).get(place)


def remember(run_folder: Path, place: str, what: Mapping[str, str]) -> None:
    """Write down what a tracker needs to go on with this run."""
    write_json(run_folder / FILE, {**_all(run_folder), place: dict(what)})


def _all(run_folder: Path) -> dict[str, Any]:
    file = run_folder / FILE
    return json.loads(file.read_text()) if file.exists() else {}


def label(run_folder: Path, values: Mapping[str, Any]) -> str:
    """The name of a run among others: that of its spec and of its folder."""
    return f"{values['name']}-{run_folder.resolve().name}"


def tags(run_folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Of a run: the name of its spec, the published rule if it names one, and the spec's hash."""
    found = {"name": str(values["name"])}
    if not (file := RunDir(run_folder).provenance).exists():
        return found
    record = read_record(file)
    rule = {"rule": record["rule"]} if "rule" in record else {}
    return found | rule | {"spec_sha256": record["hashes"]["spec"]}


def plain(values: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Every value of a resolved spec by its path, such as `optimizer.learning_rate`.

    Lists and null are text.
    """
    return {
        dotted(path): value if isinstance(value, bool | int | float | str) else flow(value)
        for path, value in leaves(values)
    }
