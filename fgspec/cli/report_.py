"""`fgspec report`."""

from pathlib import Path
from typing import Annotated

import typer

from compiler.cost.update_flops import update_flops
from fgspec import api
from fgspec.bench.plot import plotting
from fgspec.cli.options import ArgumentError, unwritable
from fgspec.errors import UserError
from fgspec.problems.problems import nearest
from fgspec.results.collect import ArmResult, collect, failures
from fgspec.results.compose import Costs, compose
from fgspec.results.pages import as_html, as_markdown, pictures
from fgspec.results.statistics import verdict
from fgspec.training.logbook import write_text

Paths = Annotated[
    list[Path], typer.Argument(metavar="RUNS... | SWEEP", help="Folders of runs or of sweeps.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where to write; the first folder without it."),
]
MetricOption = Annotated[
    str, typer.Option("--metric", metavar="NAME", help="What arms are judged by: its last value.")
]
AgainstOption = Annotated[
    str | None,
    typer.Option("--against", metavar="ARM", help="What differences are to; else the first arm."),
]


def run(
    paths: Paths,
    out: OutOption = None,
    metric: MetricOption = "eval/error",
    against: AgainstOption = None,
) -> None:
    """Compare runs: means over seeds, paired differences, curves, gradients, cost, spec diffs.

    Writes report.html, which is one file and needs no JavaScript, and report.md with its pictures.
    Runs of specs that differ in nothing but the seed are one arm.

    Example: fgspec report runs/rules
    """
    folder = out or paths[0]
    if out is not None and (reason := unwritable(out / "report.html")):
        raise ArgumentError(f"report: --out {out}: cannot be written ({reason})")
    collected = collect(paths)
    arms = collected.arms
    for run in collected.left_out:
        print(f"left out: {run.reason}")
    base = _base(arms, against)
    draws = True
    try:
        plotting("report: figures")
    except UserError as error:
        draws = False
        print(error)
    _refuse_metric(arms, metric)
    failed = failures(paths)
    sections = compose(collected, metric, base, _costs(arms), draws, failed)
    title = f"Report of {', '.join(path.name for path in paths)}"
    write_text(folder / "report.html", as_html(title, sections))
    write_text(folder / "report.md", as_markdown(title, sections))
    for picture in pictures(sections):
        (folder / picture.name).write_bytes(picture.png)
    for failure in failed:
        print(f"failed: {failure.run}: {failure.reason}")
    print(verdict(metric, [(arm.label, arm.values(metric)) for arm in arms]).text)
    print(f"report {folder / 'report.html'}")


def _base(arms: list[ArmResult], against: str | None) -> ArmResult:
    labels = [arm.label for arm in arms]
    if against is None:
        return arms[0]
    if against not in labels:
        raise ArgumentError(f"report: --against {against}: no such arm; {nearest(against, labels)}")
    return arms[labels.index(against)]


def _refuse_metric(arms: list[ArmResult], metric: str) -> None:
    known = {name for arm in arms for run in arm.runs for line in run.lines for name in line}
    if known and metric not in known:
        hint = nearest(metric, sorted(known - {"step"}))
        raise ArgumentError(f"report: --metric {metric}: no run has it; {hint}")


def _costs(arms: list[ArmResult]) -> Costs:
    """Of arms whose data are known here."""
    found = {}
    for arm in arms:
        try:
            plan = api.plan(arm.loaded)
        except UserError:
            continue
        found[arm.label] = (update_flops(plan), plan.steps)
    return found
