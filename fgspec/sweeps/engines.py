"""Where a sweep's runs can be trained, one class each; packages are imported on use."""

from typing import ClassVar, Literal

from fgspec.spec.kinds import Kind, table
from fgspec.sweeps.engine import Engine, Site
from fgspec.sweeps.folder import SweepDir

ENGINES = table("sweep engine", "engines")


class SweepEngine(Kind):
    """A place where runs of a sweep are trained, which `fgspec sweep --on NAME` asks for.

    Attributes:
        resources: whether runs can ask for resources, with `--resource`.
        outlives: whether its runs go on when the process that started them has ended, so that
            another engine must ask `refuse_under_way` before it starts the same runs.
    """

    table: ClassVar = ENGINES
    resources: ClassVar[bool] = False
    outlives: ClassVar[bool] = False

    def begin(self, site: Site) -> Engine:
        """What starts and watches the runs of one sweep.

        Raises:
            UserError: a package is not installed, or what the site asks for cannot be had.
        """
        raise self.lacks("begin")

    def refuse_under_way(self, folder: SweepDir) -> None:
        """Raise if runs that it started for this sweep are not over.

        Raises:
            UserError: they are not, or it cannot be known.
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
