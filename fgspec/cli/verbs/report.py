"""`fgspec report`."""

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(metavar="RUN|SWEEP", help="Runs or sweeps: folders, names, latest."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Write to this folder; default: the first run or sweep."
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Compare arms by the last value of this metric. Default: the objective's main metric, "
        "on the validation set if all runs have one, else on the test set.",
    ),
]
AgainstOption = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="ARM", help="Take differences to this arm; default: the first."
    ),
]
XOption = Annotated[
    str,
    typer.Option(
        "--x",
        metavar="updates|epochs|flops|seconds",
        help="The horizontal axis of the curves.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option(
        "--watch", help="Update the report while runs are going, until all end or Ctrl-C."
    ),
]


def run(
    paths: Paths,
    out: OutOption = None,
    metric: MetricOption = None,
    against: AgainstOption = None,
    x: XOption = "updates",
    watch: WatchOption = False,
) -> None:
    """Compare runs: means over seeds, paired differences, curves, gradients, cost, spec diffs.

    Writes report.html (one file, no JavaScript), report.md, every figure as SVG and PDF in
    figures/, and every table as LaTeX and CSV in tables/. Runs whose specs differ only in the seed
    form one arm.

    Example: fgspec report runs/rules --x epochs
    """
