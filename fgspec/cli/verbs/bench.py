"""`fgspec bench`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import SetOption

AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against", metavar="SPEC", help="Compute ratios to this spec; default: the first."
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write all measurements to this file.")
]
PlotFile = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE.png",
        help="Draw bar charts of time and memory; needs matplotlib.",
    ),
]
Rounds = Annotated[
    int, typer.Option("--rounds", min=1, max=10_000, help="How often each spec is measured.")
]


def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC", help="Specs, YAML files.")],
    against: AgainstOption = None,
    overrides: SetOption = None,
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
    rounds: Rounds = 10,
) -> None:
    """Measure time and memory of the specs' compiled updates, on random images.

    No data set is needed. In every round each spec runs several warm calls, one spec after the
    other, and ratios are taken within a round. Give the same spec twice to see the noise of the
    measurement.

    Example: fgspec bench specs/quickstart/bp.yaml specs/quickstart.yaml
    """
