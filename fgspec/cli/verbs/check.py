"""`fgspec check`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import SetOption


def run(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC", help="Specs or sweeps, YAML files.")
    ],
    overrides: SetOption = None,
) -> None:
    """Say everything that is wrong with specs, or with every arm of sweeps; nothing is compiled.

    Where an ablation says what it touches, what it computes is traced and compared with its base.

    Example: fgspec check specs/quickstart.yaml
    """
