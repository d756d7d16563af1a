"""Trains runs of a sweep as tasks of a Ray cluster; each is an `fgspec train` on some node."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from fgspec.errors import STOPPED, UserError
from fgspec.errors.extras import extra
from fgspec.sweeps import engine, engines
from fgspec.sweeps.engine import Gone, Site
from fgspec.sweeps.folder import Planned, RunStatus
from fgspec.sweeps.node import train


class Ray:
    """Submits runs to a cluster, all at once unless `--jobs` says how many; Ray queues them.

    Raises:
        UserError: Ray is not installed, there is no cluster, or a resource is unknown.
    """

    pause = 0.5

    def __init__(self, site: Site) -> None:
        self._ray: Any = extra("ray", "ray>=2.60", "ray", "sweep: --on ray")
        self.at_once = site.jobs
        self._site = site
        self._tasks: dict[str, Any] = {}
        options: dict[str, Any] = {"num_cpus": 1, **site.resources, "max_retries": 0}
        try:
            self._task = self._ray.remote(**options)(train)
        except (TypeError, ValueError) as error:
            raise UserError(f"sweep: --resource: {error}") from None
        self._connect()
        self._tell_shortage(options)

    def _connect(self) -> None:
        address = os.environ.get("RAY_ADDRESS", "auto")
        try:
            self._ray.init(
                address=address,
                ignore_reinit_error=True,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "on this machine" if address == "auto" else f"at {address}"
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise UserError(
                f"sweep: --on ray: no cluster {where} ({reason}); start one with `ray start "
                "--head`, or set RAY_ADDRESS to one, with RAY_AUTH_MODE=token if it needs a token"
            ) from None

    def _tell_shortage(self, options: Mapping[str, Any]) -> None:
        """Say which resources are missing. This is no error: tasks wait, and clusters may grow."""
        asked = {"CPU": options["num_cpus"], "GPU": options.get("num_gpus")}
        have = self._ray.cluster_resources()
        for name, number in {**asked, **options.get("resources", {})}.items():
            if (number or 0) > have.get(name, 0):
                shortage = (
                    f"a run asks for {number:g} {name}, the Ray cluster has {have.get(name, 0):g}"
                )
                self._site.say(f"{shortage}; runs wait until it has more")

    def under_way(self, todo: Sequence[Planned]) -> Mapping[str, Planned]:
        """No runs: Ray ends the tasks of a process that has ended."""
        return {}

    def start(self, runs: Sequence[RunStatus]) -> Mapping[str, Planned]:
        """Submit a task for each run."""
        started = {}
        for run in runs:
            task = self._task.remote(engine.order(self._site.folder, run))
            self._tasks[task.hex()] = task
            started[task.hex()] = run.planned
        return started

    def gone(self, handles: Sequence[str]) -> Mapping[str, Gone]:
        """Tasks that have ended, whose worker died, or that no node will ever run."""
        tasks = [self._tasks[handle] for handle in handles]
        over, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0) if tasks else ((), ())
        return {task.hex(): self._how(task) for task in over}

    def _how(self, task: Any) -> Gone:
        try:
            code = self._ray.get(self._tasks.pop(task.hex()))
        except self._ray.exceptions.TaskCancelledError:
            return Gone(STOPPED, "was cancelled")
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().split(". ")[0] or type(error).__name__
            return Gone(None, f"was lost by Ray ({reason})")
        return Gone(code, engine.how(code))

    def leave(self, handles: Sequence[str]) -> str:
        """Cancel the tasks, and wait until those that were running have saved."""
        tasks = [self._tasks[handle] for handle in handles]
        for task in tasks:
            self._ray.cancel(task)
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks))
        return f"stopped; every run is saved: {self._site.folder.path}"


class OnRay(engines.Ray):
    """The engine `ray`, with the code that starts its tasks."""

    def begin(self, site: Site) -> Ray:
        """Connect to the cluster; see `Ray`."""
        return Ray(site)
