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
    typer.Option("--out", metavar="DIR", help="Where to write; the first folder without it."),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="What arms are judged by: its last value. Without it the objective's headline, of the "
        "validation set if all runs have one, else of the test set.",
    ),
]
AgainstOption = Annotated[
    str | None,
    typer.Option("--against", metavar="ARM", help="What differences are to; else the first arm."),
]
XOption = Annotated[
    str,
    typer.Option(
        "--x",
        metavar="updates|epochs|flops|seconds",
        help="What curves are drawn over.",
    ),
]
WatchOption = Annotated[
    bool,
    typer.Option("--watch", help="Write it again as runs log, until all have ended or Ctrl-C."),
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

    Writes report.html, which is one file and needs no JavaScript, report.md, every figure as SVG
    and PDF in figures/, and every table as LaTeX and CSV in tables/. Runs of specs that differ in
    nothing but the seed are one arm.

    Example: fgspec report runs/rules --x epochs
    """
