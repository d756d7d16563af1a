"""`fgspec diff`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, SetOption

FieldsOption = Annotated[bool, typer.Option("--fields", help="Compare fields only.")]
ProbeOption = Annotated[
    bool, typer.Option("--probe", help="Measure both estimates on a batch of the data.")
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=0, max=10**6, help="Updates before --probe measures; 20."),
]
DrawsOption = Annotated[
    int | None,
    typer.Option("--draws", min=32, max=10**7, help="Estimates --probe draws, by sixteens; 128."),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page of its own to this file."),
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
    """Print the fields in which two specs differ, and what of their computations that changes.

    --set acts on the second spec; where one is given, on a second copy of it. Nothing is compiled
    or run without --probe, which trains both for some updates and draws estimates of one batch.

    Exit code 0 if they are the same, 1 if they differ, 2 if one is wrong.

    Example: fgspec diff specs/quickstart.yaml --set gradient.perturbation.samples=4
    """
