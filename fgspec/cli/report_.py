"""`fgspec report`."""

import time
from collections.abc import Sequence
from pathlib import Path

from compiler.cost.update_flops import update_flops
from fgspec import api
from fgspec.bench.plot import plotting
from fgspec.cli.arguments import ArgumentError, meant, unwritable
from fgspec.errors import ResumeError, UserError
from fgspec.explaining.picture import picture
from fgspec.loading.resolved import spec_hash
from fgspec.problems.problems import nearest
from fgspec.processes.stopping import advise
from fgspec.results.abscissa import ABSCISSAE, Abscissa, Cost
from fgspec.results.collect import ArmResult, Collected, collect, failures, unended
from fgspec.results.compose import compose, result
from fgspec.results.tables import FIGURES, TABLES, as_csv, as_latex, as_markdown
from fgspec.show.document import figures, tables
from fgspec.show.html_page import page
from fgspec.spec.metrics import leading, today
from fgspec.training.logbook import write_text

EVERY = 5
"""Seconds between two looks at the runs with --watch."""


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
    if x not in ABSCISSAE:
        raise ArgumentError(f"report: --x {x}: no such axis; {nearest(x, ABSCISSAE)}")
    if out is not None and (reason := unwritable(out / "report.html")):
        raise ArgumentError(f"report: --out {out}: cannot be written ({reason})")
    report = _Report(paths, out or paths[0], metric, against, ABSCISSAE[x])
    try:
        plotting("report: figures")
    except UserError as error:
        report.draws = False
        print(error)
    if watch:
        report.watch()
    else:
        report.write(collect(paths))


class _Report:
    """What is asked for, and the plans that were made for it."""

    draws = True

    def __init__(
        self,
        paths: Sequence[Path],
        folder: Path,
        metric: str | None,
        against: str | None,
        over: Abscissa,
    ) -> None:
        self._paths, self._folder, self._metric = paths, folder, metric
        self._against, self._over = against, over
        self._costs: dict[str, Cost | None] = {}
        self._pictures: dict[str, str] = {}

    def watch(self) -> None:
        """Write whenever a run has logged, until every run has ended, or Ctrl-C."""
        advise("the report has what was logged until now")
        seen = None
        while True:
            # Asked first, so that the last writing has what the last run logged.
            running = unended(self._paths)
            if collected := self._collected(running):
                runs = [run for arm in collected.arms for run in (*arm.runs, *arm.others)]
                now = (running, [(run.path, run.state, len(run.lines)) for run in runs])
                if now != seen:
                    self.write(collected, EVERY if running else None)
                    seen = now
            if not running:
                return
            time.sleep(EVERY)

    def _collected(self, running: int) -> Collected | None:
        """What there is; nothing while the first run of a sweep has not begun."""
        try:
            return collect(self._paths)
        except ResumeError:
            raise  # a wrong path, or nothing but damaged runs
        except UserError:
            if not running:
                raise
            return None

    def write(self, collected: Collected, refresh: int | None = None) -> None:
        """Write all files; a browser loads the page again every `refresh` seconds."""
        folder, arms = self._folder, collected.arms
        base = _base(arms, self._against)
        metric = today(self._metric) if self._metric is not None else _leading(arms)
        _refuse_metric(arms, metric)
        failed = failures(self._paths)
        costs = {arm.label: cost for arm in arms if (cost := self._cost(arm)) is not None}
        drawn = {arm.label: svg for arm in arms if (svg := self._picture(arm))}
        sections = compose(collected, metric, base, costs, self._over, self.draws, failed, drawn)
        title = f"Report of {', '.join(path.name for path in self._paths)}"
        write_text(folder / "report.html", page(title, sections, refresh))
        write_text(folder / "report.md", as_markdown(title, sections))
        for figure in figures(sections):
            (folder / FIGURES).mkdir(exist_ok=True)
            for ending, content in figure.files.items():
                (folder / FIGURES / f"{figure.name}.{ending}").write_bytes(content)
        for table in tables(sections):
            write_text(folder / TABLES / f"{table.name}.tex", as_latex(table))
            write_text(folder / TABLES / f"{table.name}.csv", as_csv(table))
        for run in collected.left_out:
            print(f"left out: {run.reason}")
        for failure in failed:
            print(f"failed: {failure.run}: {failure.reason}")
        print(*result(arms, metric), sep="\n")
        print(f"report {folder / 'report.html'}", flush=True)

    def _cost(self, arm: ArmResult) -> Cost | None:
        """None where the data of an arm are not known here; planned once."""
        key = spec_hash(arm.loaded)
        if key not in self._costs:
            try:
                plan = api.plan(arm.loaded)
                cost = Cost(update_flops(plan), plan.steps, plan.steps_per_epoch)
                self._pictures[key] = picture(plan)
            except UserError:
                cost = None
            self._costs[key] = cost
        return self._costs[key]

    def _picture(self, arm: ArmResult) -> str:
        """Empty where there is no plan."""
        self._cost(arm)
        return self._pictures.get(spec_hash(arm.loaded), "")


def _leading(arms: list[ArmResult]) -> str:
    """What all arms can be selected by, by the validation set where every arm has one."""
    found = [leading(arm.loaded.experiment.data, arm.loaded.experiment.losses) for arm in arms]
    return max(found, key=lambda one: one.of_test_set).name


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
