"""Where a sweep's runs can be trained, by name."""

from collections.abc import Callable, Mapping

from fgspec.sweeps.engine import Engine, Site
from fgspec.sweeps.on_ray import Ray
from fgspec.sweeps.on_slurm import Slurm
from fgspec.sweeps.processes import Processes

ENGINES: Mapping[str, Callable[[Site], Engine]] = {
    "processes": Processes,
    "ray": Ray,
    "slurm": Slurm,
}
