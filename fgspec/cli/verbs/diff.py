"""`fgspec diff`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, SetOption

FieldsOption = Annotated[
    bool, typer.Option("--fields", help="Compare only the fields, not the computations.")
]
ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Measure both gradient estimates on one batch of the data.")
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        "--steps", min=0, max=10**6, help="Train this many updates before --probe; default: 20."
    ),
]
DrawsOption = Annotated[
    int | None,
    typer.Option(
        "--draws",
        min=32,
        max=10**7,
        help="Gradient estimates that --probe draws, a multiple of 16; default: 128.",
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write the comparison to this file as an HTML page."
    ),
]


def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC [SPEC]", help="YAML files.")],
    overrides: SetOption = None,
    fields: FieldsOption = False,
    probe: ProbeOption = False,
    steps: StepsOption = None,
    draws: DrawsOption = None,
    as_json: JsonOption = False,
    html: HtmlFile = None,
) -> None:
    """Show how two specs differ and what that changes in the computation.

    --set changes the second spec. If you give only one spec, --set changes a copy of it and the
    two are compared. With --probe both specs are trained for some updates, then many gradient
    estimates are drawn on one batch; without it nothing is compiled or run.

    Exit code 0 if the specs are the same, 1 if they differ, 2 if one has a mistake.

    Example: fgspec diff specs/quickstart.yaml --set gradient.perturbation.samples=4
    """
