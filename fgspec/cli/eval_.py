"""`fgspec eval`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fgspec import api
from fgspec.cli.options import JsonOption, SetOption


def run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
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
    values = api.evaluate(run, overrides=overrides or (), other_data=other_data)
    if as_json:
        print(json.dumps(values))
        return
    metrics = ", ".join(f"{k} {v:.4f}" for k, v in values.items() if k != "step")
    print(f"step {values['step']}: {metrics}")
