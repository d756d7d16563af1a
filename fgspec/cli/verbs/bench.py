"""`fgspec bench`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import SetOption

AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", metavar="SPEC", help="What ratios are to; else the first spec."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write all figures to this file.")
]
PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw bars of time and memory; matplotlib."),
]
Rounds = Annotated[
    int, typer.Option("--rounds", min=1, max=10_000, help="Turns that each spec has.")
]


def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC", help="Specs, YAML files.")],
    against: AgainstOption = None,
    overrides: SetOption = None,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
    rounds: Rounds = 10,
) -> None:
    """Measure the compiled updates of specs, in turns, on random images of the right shape.

    No data set is needed. Each spec gets a turn of several warm calls in every round, and ratios
    are taken within a round. Give a spec twice to see how far apart equal things are.

    Example: fgspec bench specs/quickstart/bp.yaml specs/quickstart.yaml
    """
