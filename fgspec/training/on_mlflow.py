"""Tracks a run in MLflow, in a SQLite file or on a server."""

import importlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from fgspec.spec import trackers
from fgspec.training.tracked import label, plain, remember, remembered, tags

ENDS = {"done": "FINISHED", "failed": "FAILED", "preempted": "KILLED"}
"""MLflow's names for the ways in which a run ends."""

METRICS, PARAMETERS, LENGTH = 1000, 100, 6000
"""How many metrics and parameters MLflow accepts at a time, and characters of a parameter."""


class Mlflow(trackers.Mlflow):
    """The tracker `mlflow`, with the code that writes runs.

    MLflow cannot remove numbers. So lines of steps that it already has are left out; a resumed run
    computes the same numbers for them.
    """

    _client: Any = PrivateAttr(default=None)
    _run: str = PrivateAttr(default="")
    _last: int = PrivateAttr(default=-1)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """Create a run with parameters and tags, or continue the existing one."""
        mlflow = importlib.import_module("mlflow")
        place = f"mlflow {self.uri or ''} {self.project}"
        earlier = remembered(run_folder, place)
        if earlier is not None:
            self._client, self._run = mlflow.MlflowClient(earlier["uri"]), earlier["run"]
            self._last = self._steps_done()
            self._client.update_run(self._run, status="RUNNING")
            return
        here = f"sqlite:///{Path('mlflow.db').resolve()}"
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or here
        self._client = mlflow.MlflowClient(uri)
        experiment = self._client.get_experiment_by_name(self.project)
        number = experiment.experiment_id if experiment else self._made()
        name = self.run or label(run_folder, values)
        run = self._client.create_run(number, run_name=name, tags=tags(run_folder, values))
        self._run = run.info.run_id
        remember(run_folder, place, {"uri": uri, "run": self._run})
        entities = importlib.import_module("mlflow.entities")
        fields = plain(values).items()
        parameters = [entities.Param(key, str(value)[:LENGTH]) for key, value in fields]
        for first in range(0, len(parameters), PARAMETERS):
            self._client.log_batch(self._run, params=parameters[first : first + PARAMETERS])

    def _made(self) -> str:
        return self._client.create_experiment(self.project)

    def _steps_done(self) -> int:
        names = self._client.get_run(self._run).data.metrics
        histories = (self._client.get_metric_history(self._run, name) for name in names)
        return max((point.step for history in histories for point in history), default=-1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a point for each metric."""
        if step <= self._last:
            return
        entities = importlib.import_module("mlflow.entities")
        now = int(time.time() * 1000)
        points = [entities.Metric(name, value, now, step) for name, value in metrics.items()]
        for first in range(0, len(points), METRICS):
            self._client.log_batch(self._run, metrics=points[first : first + METRICS])

    def close(self, status: str) -> None:
        """Record how the run ended."""
        self._client.set_terminated(self._run, ENDS[status])
