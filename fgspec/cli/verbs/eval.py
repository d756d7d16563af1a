"""`fgspec eval`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import JsonOption, SetOption


def run(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run: its folder or name, or latest.")
    ],
    overrides: SetOption = None,
    other_data: Annotated[
        bool,
        typer.Option(
            "--other-data", help="Evaluate even if the data are not those of the run any more."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate the newest checkpoint of a run on its whole test set.

    The data are compared with those that the run was trained with; --set data.source.path=PATH
    says where they are.

    Example: fgspec eval runs/quickstart/20260101T120000-0a1b2c3d
    """
