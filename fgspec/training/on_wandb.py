"""Tracks a run in Weights & Biases, in files in the run's folder or online."""

import importlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.tracked import label, remember, remembered, tags

LONGEST_TAG = 64
"""The largest number of characters of a tag."""


class Wandb(trackers.Wandb):
    """The tracker `wandb`, with the code that writes runs.

    Each time a run is resumed, it begins new files, which belong to the same run in W&B. W&B
    ignores lines of steps that it already has; a resumed run computes the same numbers for them.
    """

    _run: Any = PrivateAttr(default=None)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """Create a run with the spec as its configuration, or continue the existing one."""
        wandb = importlib.import_module("wandb")
        place = f"wandb {self.entity or ''}/{self.project}"
        identity = remembered(run_folder, place)
        if identity is None:
            identity = {"run": uuid.uuid4().hex[:8]}
            remember(run_folder, place, identity)
        about = tags(run_folder, values)
        named = [tag[:LONGEST_TAG] for tag in (*about.values(), *self.tags)]
        self._run = wandb.init(
            entity=self.entity,
            project=self.project,
            id=identity["run"],
            name=self.run or label(run_folder, values),
            group=self.group,
            tags=list(dict.fromkeys(named)),
            config={**values, **about},
            dir=run_folder,
            mode=self.mode,
            resume="allow",
            reinit="create_new",  # a sweep trains many runs in one process
            save_code=False,
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a row of the history."""
        self._run.log(dict(metrics), step=step)

    def close(self, status: str) -> None:
        """Record how the run ended."""
        self._run.summary["status"] = status
        if status == "preempted":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if status == "done" else 1)
