"""Writes a run's metrics to a CSV file."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.logbook import write_text

NAME = "metrics.csv"
"""The name of the file in a run's folder."""

STEP = "step"
"""The first column."""


class Csv(trackers.Csv):
    """The tracker `csv`, with the code that writes the file.

    A metric that is logged for the first time adds a column on the right, for which the whole file
    is written again. A cell is empty if its step has no value of the metric. Floats are written by
    `repr`, so that they are read back exactly.
    """

    _path: Path = PrivateAttr(default=Path())
    _columns: list[str] = PrivateAttr(default_factory=list)
    _resumed: bool = PrivateAttr(default=False)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """Prepare the file, which is created with the first row, or continued if it exists."""
        self._path = run_folder / NAME
        self._columns = [STEP]
        self._resumed = self._path.exists()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a row. After a resume, rows of this step and of later steps are dropped first."""
        if self._resumed:
            self._resumed = False
            kept = [row for row in rows_of(self._path) if int(row[STEP]) < step]
            self._columns = list(dict.fromkeys([STEP, *(name for row in kept for name in row)]))
            self._write_all(kept)
        row = {STEP: str(step)} | {name: repr(float(value)) for name, value in metrics.items()}
        new = [name for name in row if name not in self._columns]
        if new or not self._path.exists():
            before = rows_of(self._path)
            self._columns += new
            self._write_all([*before, row])
            return
        with self._path.open("a", encoding="utf-8", newline="") as file:
            self._writer(file).writerow(row)

    def _writer(self, file: Any) -> "csv.DictWriter[str]":
        return csv.DictWriter(file, self._columns, restval="", lineterminator="\n")

    def _write_all(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = self._writer(text)
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._path, text.getvalue())


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a file that `Csv` wrote, without empty cells; a missing file has no rows.

    A last row without an end of line is left out, because its writer was killed.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole, newline=""))
    return [{name: cell for name, cell in row.items() if cell} for row in rows]
