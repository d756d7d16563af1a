"""The places where a sweep's runs can be trained, one class each.

The packages that they need are imported when a sweep begins.
"""

from typing import ClassVar, Literal

from fgspec.spec.kinds import Kind, table
from fgspec.sweeps.engine import Engine, Site
from fgspec.sweeps.folder import SweepDir

ENGINES = table("sweep engine", "engines")


class SweepEngine(Kind):
    """A place where runs of a sweep are trained, chosen by `fgspec sweep --on NAME`.

    Attributes:
        resources: whether runs can ask for resources, with `--resource`.
        outlives: whether its runs continue after the process that started them has ended. Then
            `refuse_under_way` is called before another engine starts the same runs.
    """

    table: ClassVar = ENGINES
    resources: ClassVar[bool] = False
    outlives: ClassVar[bool] = False

    def begin(self, site: Site) -> Engine:
        """Make the engine that starts and watches the runs of one sweep.

        Raises:
            UserError: a package is not installed, or the resources of `site` are not available.
        """
        raise self.lacks("begin")

    def refuse_under_way(self, folder: SweepDir) -> None:
        """Raise if runs of this sweep that this engine started have not ended.

        Raises:
            UserError: runs have not ended, or this cannot be found out.
        """


class Processes(SweepEngine):
    """Processes on this machine."""

    behaviour: ClassVar[str | None] = "fgspec.sweeps.processes:OnProcesses"
    type: Literal["processes"] = "processes"


class Ray(SweepEngine):
    """Tasks of a Ray cluster."""

    behaviour: ClassVar[str | None] = "fgspec.sweeps.on_ray:OnRay"
    resources: ClassVar[bool] = True
    type: Literal["ray"] = "ray"


class Slurm(SweepEngine):
    """Jobs of SLURM."""

    behaviour: ClassVar[str | None] = "fgspec.sweeps.on_slurm:OnSlurm"
    resources: ClassVar[bool] = True
    outlives: ClassVar[bool] = True
    type: Literal["slurm"] = "slurm"
