"""A run in MLflow: in a SQLite file, or on a server."""

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
"""How MLflow calls the ways in which a run ends."""

METRICS, PARAMETERS, LENGTH = 1000, 100, 6000
"""How many MLflow takes at once, and letters of a parameter."""


class Mlflow(trackers.Mlflow):
    """The section with how runs are written.

    MLflow removes no number that it has. Lines of steps that it has already are left out: a run
    that goes on computes the same numbers there.
    """

    _client: Any = PrivateAttr(default=None)
    _run: str = PrivateAttr(default="")
    _last: int = PrivateAttr(default=-1)

    def open(self, run_folder: Path, values: Mapping[str, Any]) -> None:
        """A new run with parameters and tags, or the one of before."""
        mlflow = importlib.import_module("mlflow")
        place = f"mlflow {self.uri or ''} {self.project}"
        known = remembered(run_folder, place)
        if known is not None:
            self._client, self._run = mlflow.MlflowClient(known["uri"]), known["run"]
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
        found = plain(values).items()
        parameters = [entities.Param(key, str(value)[:LENGTH]) for key, value in found]
        for first in range(0, len(parameters), PARAMETERS):
            self._client.log_batch(self._run, params=parameters[first : first + PARAMETERS])

    def _made(self) -> str:
        return self._client.create_experiment(self.project)

    def _steps_done(self) -> int:
        names = self._client.get_run(self._run).data.metrics
        points = (self._client.get_metric_history(self._run, name) for name in names)
        return max((point.step for found in points for point in found), default=-1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A point of each metric."""
        if step <= self._last:
            return
        entities = importlib.import_module("mlflow.entities")
        now = int(time.time() * 1000)
        points = [entities.Metric(name, value, now, step) for name, value in metrics.items()]
        for first in range(0, len(points), METRICS):
            self._client.log_batch(self._run, metrics=points[first : first + METRICS])

    def close(self, status: str) -> None:
        """How the run ended."""
        self._client.set_terminated(self._run, ENDS[status])
