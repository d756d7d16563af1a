"""`fgspec plan`."""

from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, MeshOption, PictureOption, SetOption, SpecArgument

FlopsOption = Annotated[
    float | None,
    typer.Option(
        "--flops", min=1, help="With --mesh: FLOPs per second of each device; default: 1e14."
    ),
]
BandwidthOption = Annotated[
    float | None,
    typer.Option(
        "--bandwidth",
        min=1,
        help="With --mesh: bytes per second that each device sends; default: 5e10.",
    ),
]


def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    mesh: MeshOption = None,
    flops: FlopsOption = None,
    bandwidth: BandwidthOption = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Print layers, losses, credit routes and the cost of an update.

    A credit route says which losses train a layer, and how. The update is compiled for this
    machine, but nothing is run and no data are read.

    With --mesh nothing is compiled. The time of an update is predicted for a mesh of devices, which
    this machine need not have; only an axis of size -1 counts the devices of this machine.

    Example: fgspec plan specs/quickstart.yaml
    """
