"""A run in Weights & Biases: files in its folder, or sent as it goes."""

import importlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.tracked import label, remember, remembered, tags

LONGEST_TAG = 64
"""Letters of a tag."""


class Wandb(trackers.Wandb):
    """The section with how runs are written.

    Each part of a run that was stopped has files of its own, all of one run in W&B. W&B takes a
    step once: lines of a step that it has already are left out by W&B, and a run that goes on
    computes the same numbers there.
    """

    _run: Any = PrivateAttr(default=None)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """A new run with the spec as its configuration, or the one of before."""
        wandb = importlib.import_module("wandb")
        place = f"wandb {self.entity or ''}/{self.project}"
        known = remembered(run_folder, place)
        if known is None:
            known = {"run": uuid.uuid4().hex[:8]}
            remember(run_folder, place, known)
        about = tags(run_folder, values)
        named = [tag[:LONGEST_TAG] for tag in (*about.values(), *self.tags)]
        self._run = wandb.init(
            entity=self.entity,
            project=self.project,
            id=known["run"],
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
        """A row of the history."""
        self._run.log(dict(metrics), step=step)

    def close(self, status: str) -> None:
        """How the run ended."""
        self._run.summary["status"] = status
        if status == "preempted":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if status == "done" else 1)
