"""`mesh:` how many devices, and what is split over them."""

from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import PositiveInt, Resume, Section, Unit, Values

Devices = PositiveInt | Literal[-1]
_REST = Values({-1: "As many as the other axes leave."})

AXES: tuple[str, ...] = ("data", "group", "stage")
"""Of a mesh; arrays are split over the first two, stages hold blocks of their own."""


class AxisRule(Section):
    """One rule: arrays with this axis are split along it over that axis of the mesh."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    axis: Annotated[
        Literal["batch", "patch", "group"],
        Values(
            {
                "batch": "Examples.",
                "patch": "Positions of features.",
                "group": "Groups of channels, and the weights that make them.",
            }
        ),
    ] = Field(description="The axis of arrays that is split.")
    over: Annotated[
        Literal["data", "group"],
        Values({"data": "The axis `data` of the mesh.", "group": "Its axis `group`."}),
    ] = Field(description="The axis of the mesh that it is split over.")


class Mesh(Section):
    """How many devices there are along each axis of a mesh of devices, and what is split over them.

    The product of the three is the number of devices. -1 takes the devices that are left. A mesh
    changes no number except by the order of sums.
    """

    on_resume: ClassVar = Resume.MAY_CHANGE
    data: Annotated[Devices, Unit("devices"), _REST] = Field(
        default=1,
        description="Into how many parts the batch is split; it must divide the batch size.",
        examples=[2],
    )
    group: Annotated[Devices, Unit("devices"), _REST] = Field(
        default=1,
        description="Into how many parts the groups of channels are split, with the weights that "
        "make them.",
        examples=[2],
    )
    stage: Annotated[Devices, Unit("devices"), _REST] = Field(
        default=1,
        description="Into how many stages the blocks are split, as a pipeline. Blocks must learn "
        "from their own losses alone.",
        examples=[2],
    )
    rules: tuple[AxisRule, ...] = Field(
        default=(AxisRule(axis="batch", over="data"), AxisRule(axis="group", over="group")),
        description="What is split over what, in order: each axis of the mesh splits an array "
        "along the first axis that a rule names and that it divides. Arrays that no rule splits "
        "are on every device.",
        examples=[[{"axis": "batch", "over": "data"}, {"axis": "patch", "over": "group"}]],
    )


def sizes(mesh: Mesh) -> tuple[int, ...]:
    """Devices along each of `AXES`."""
    return tuple(getattr(mesh, name) for name in AXES)


def fill(mesh: Mesh, devices: int) -> Mesh:
    """The mesh with what is left of the devices in place of -1."""
    left = devices // prod(size for size in sizes(mesh) if size != -1)
    given: dict[str, Any] = {name: left for name in AXES if getattr(mesh, name) == -1}
    return mesh.model_copy(update=given)
