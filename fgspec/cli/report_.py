"""`fgspec report`."""

import time
from pathlib import Path

from fgspec import api
from fgspec.cli.arguments import meant, refuse_unwritable
from fgspec.errors import ResumeError, UserError
from fgspec.processes.stopping import advise
from fgspec.results.collect import Collected, collect, unended
from fgspec.results.report import Report, Reporter

EVERY = 5
"""Seconds between two updates with --watch."""


def run(
    paths: list[Path],
    out: Path | None,
    metric: str | None,
    against: str | None,
    x: str,
    watch: bool,
) -> None:
    """What `fgspec report` does."""
    paths = [meant(path) for path in paths]
    reporter = Reporter(paths, api.plan, metric=metric, against=against, x=x, option="--")
    if out is not None:
        refuse_unwritable("report: --out", out, out / "report.html")
    if reporter.no_figures:
        print(reporter.no_figures)
    folder = out or paths[0]
    if watch:
        _watch(reporter, folder)
    else:
        _write(reporter.report(), folder)


def _watch(reporter: Reporter, folder: Path) -> None:
    """Write the report whenever a run has logged, until all runs have ended or Ctrl-C."""
    advise("the report has what was logged until now")
    seen = None
    while True:
        # Counted before the runs are read, so that the last report has all that was logged.
        running = unended(reporter.paths)
        if collected := _collected(reporter, running):
            runs = [run for arm in collected.arms for run in (*arm.runs, *arm.others)]
            now = (running, [(run.path, run.state, len(run.lines)) for run in runs])
            if now != seen:
                _write(reporter.report(collected), folder, EVERY if running else None)
                seen = now
        if not running:
            return
        time.sleep(EVERY)


def _collected(reporter: Reporter, running: int) -> Collected | None:
    """The runs so far; None as long as the first run of a sweep has not begun."""
    try:
        return collect(reporter.paths)
    except ResumeError:
        raise  # a path is wrong, or all runs are damaged
    except UserError:
        if not running:
            raise
        return None


def _write(report: Report, folder: Path, refresh: int | None = None) -> None:
    """Write all files of the report, and print its result."""
    written = report.write(folder, refresh)
    for run in report.left_out:
        print(f"left out: {run.reason}")
    for failure in report.failed:
        print(f"failed: {failure.run}: {failure.reason}")
    print(report.verdict)
    print(f"report {written}", flush=True)
