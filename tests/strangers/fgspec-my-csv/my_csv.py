"""Metrics as a CSV file in the run's folder."""

import csv
from typing import Any, Literal

from pydantic import PrivateAttr

import fgspec


class MyCsv(fgspec.Tracker):
    """A row for every number: step, name, value."""

    type: Literal["my_csv"] = "my_csv"
    file: str = fgspec.Field(default="metrics.csv", description="Name, in the run's folder.")
    _open: Any = PrivateAttr(None)

    def open(self, run_folder, values):
        path = run_folder / self.file
        fresh = not path.exists()
        self._open = path.open("a", newline="")
        if fresh:
            csv.writer(self._open).writerow(["step", "name", "value"])

    def log(self, step, metrics):
        csv.writer(self._open).writerows([step, name, value] for name, value in metrics.items())
        self._open.flush()

    def close(self, status):
        self._open.close()
