"""`fgspec init`."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("experiment.yaml"),
    rule: Annotated[
        str, typer.Option("--rule", help="A learning rule, such as lg-bp.")
    ] = "lg-fg-a",
) -> None:
    """Write a first spec: LocalMixer on the digits that come with scikit-learn.

    Example: fgspec init my.yaml --rule lg-bp
    """
