"""Tracks a run in trackio, in a SQLite file on this machine or on a Hugging Face Space."""

import importlib
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.tracked import label, remember, remembered, tags


class Trackio(trackers.Trackio):
    """The tracker `trackio`, with the code that writes runs.

    trackio cannot remove numbers. So lines of steps that it already has are left out; a resumed run
    computes the same numbers for them.
    """

    _run: Any = PrivateAttr(default=None)
    _last: int = PrivateAttr(default=-1)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """Create a run with the spec as its configuration, or continue the existing one."""
        trackio = importlib.import_module("trackio")
        place = f"trackio {self.space or ''}/{self.project}"
        earlier = remembered(run_folder, place)
        name = earlier["run"] if earlier else self.run or label(run_folder, values)
        about = tags(run_folder, values)
        with redirect_stdout(io.StringIO()):  # trackio prints advice
            self._run = trackio.init(
                project=self.project,
                name=name,
                space_id=self.space,
                config={**values, **about},
                resume="never" if earlier is None else "allow",
                embed=False,
                auto_log_gpu=False,
            )
        if earlier is None:
            remember(run_folder, place, {"run": self._run.name})
            return
        storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
        last = storage.get_max_step_for_run(self.project, self._run.name)
        self._last = -1 if last is None else last

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a row."""
        if step > self._last:
            self._run.log(dict(metrics), step=step)

    def close(self, status: str) -> None:
        """Finish writing. trackio has no field for how a run ended."""
        with redirect_stdout(io.StringIO()):
            self._run.finish()
        current = importlib.import_module("trackio").context_vars.current_run
        if current.get() is self._run:  # otherwise trackio would finish the run a second time
            current.set(None)
