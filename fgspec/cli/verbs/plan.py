"""`fgspec plan`."""

from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, MeshOption, PictureOption, SetOption, SpecArgument

FlopsOption = Annotated[
    float | None,
    typer.Option("--flops", min=1, help="With --mesh: FLOPs that each device does a second; 1e14."),
]
BandwidthOption = Annotated[
    float | None,
    typer.Option("--bandwidth", min=1, help="With --mesh: bytes that each sends a second; 5e10."),
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
    """Print every layer with its losses and credit routes, and what an update costs.

    The update is compiled for this machine, but nothing is run and no data are read. With --mesh
    nothing is compiled: what an update would take on devices that need not be here, but for -1.

    Example: fgspec plan specs/quickstart.yaml
    """
