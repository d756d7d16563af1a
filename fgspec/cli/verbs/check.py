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
    """Report all mistakes in specs and sweeps, without compiling or training.

    Each arm of a sweep is checked. If a spec declares with `ablation.touches` what it changes, its
    computation is traced and compared with that of its base.

    Example: fgspec check specs/quickstart.yaml
    """
