"""A run in trackio: in a SQLite file of this machine, or on a Hugging Face Space."""

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
    """The section with how runs are written.

    trackio removes no number that it has. Lines of steps that it has already are left out: a run
    that goes on computes the same numbers there.
    """

    _run: Any = PrivateAttr(default=None)
    _last: int = PrivateAttr(default=-1)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """A new run with the spec as its configuration, or the one of before."""
        trackio = importlib.import_module("trackio")
        place = f"trackio {self.space or ''}/{self.project}"
        known = remembered(run_folder, place)
        name = known["run"] if known else self.run or label(run_folder, values)
        about = tags(run_folder, values)
        with redirect_stdout(io.StringIO()):  # which it fills with advice
            self._run = trackio.init(
                project=self.project,
                name=name,
                space_id=self.space,
                config={**values, **about},
                resume="never" if known is None else "allow",
                embed=False,
                auto_log_gpu=False,
            )
        if known is None:
            remember(run_folder, place, {"run": self._run.name})
            return
        storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
        last = storage.get_max_step_for_run(self.project, self._run.name)
        self._last = -1 if last is None else last

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A row."""
        if step > self._last:
            self._run.log(dict(metrics), step=step)

    def close(self, status: str) -> None:
        """Trackio does not say how a run ended; all is written."""
        with redirect_stdout(io.StringIO()):
            self._run.finish()
        current = importlib.import_module("trackio").context_vars.current_run
        if current.get() is self._run:  # which trackio would finish, and tell of, once more
            current.set(None)
