"""`mesh:` how many devices, and what is split over them."""

from math import prod
from typing import Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume, Section

Devices = PositiveInt | Literal[-1]

AXES: tuple[str, ...] = ("data", "group", "stage")
"""Of a mesh; arrays are split over the first two, stages hold blocks of their own."""


class AxisRule(Section):
    """One rule: arrays with this named axis are split along it over that axis of the mesh."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    axis: Literal["batch", "patch", "group"] = Field(description="Named axis of an array.")
    over: Literal["data", "group"] = Field(description="Axis of the mesh.")


class Mesh(Section):
    """Devices along each axis of the mesh; -1 takes what is left. No axis changes any number."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    data: Devices = Field(default=1, description="Shards of the batch.")
    group: Devices = Field(default=1, description="Shards of the channel groups.")
    stage: Devices = Field(default=1, description="Pipeline stages.")
    rules: tuple[AxisRule, ...] = Field(
        default=(AxisRule(axis="batch", over="data"), AxisRule(axis="group", over="group")),
        description="In order: an array is split along the first of its axes that each axis of the "
        "mesh is offered and divides; what no rule names is on every device.",
    )


def sizes(mesh: Mesh) -> tuple[int, ...]:
    """Devices along each of `AXES`."""
    return tuple(getattr(mesh, name) for name in AXES)


def fill(mesh: Mesh, devices: int) -> Mesh:
    """The mesh with what is left of the devices in place of -1."""
    left = devices // prod(size for size in sizes(mesh) if size != -1)
    given: dict[str, Any] = {name: left for name in AXES if getattr(mesh, name) == -1}
    return mesh.model_copy(update=given)
