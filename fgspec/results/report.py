"""A report that compares runs and sweeps, as an object and as files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from compiler.cost.update_flops import update_flops
from compiler.plan.plan import Plan
from fgspec.bench.plot import plotting
from fgspec.errors import UserError
from fgspec.explaining.picture import picture
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import Loaded
from fgspec.problems.problems import nearest
from fgspec.results.abscissa import ABSCISSAE, Cost
from fgspec.results.collect import ArmResult, Collected, Failure, LeftOut, collect, failures
from fgspec.results.compose import compose, result
from fgspec.results.statistics import best_of, verdict
from fgspec.results.tables import FIGURES, TABLES, as_csv, as_latex, as_markdown
from fgspec.show.document import Section, Table, figures, tables
from fgspec.show.html_page import page
from fgspec.spec.metrics import leading, today
from fgspec.training.logbook import write_text


@dataclass(frozen=True)
class Report:
    """A comparison of runs. All runs of one spec, with different seeds, form an arm.

    Tables have the names of the files that `write` makes. `arms` has means over seeds and
    differences. `cost`, `gradients`, `differences`, `runs` and others exist if they have content.

    Attributes:
        title: the title of the page.
        metric: the metric by which arms are compared, such as valid/error.
        arms: the arms with their runs, in the order in which they were given.
        sections: the content of the report.
        failed: runs of sweeps that failed, and why.
        left_out: damaged runs, and what is damaged.
    """

    title: str
    metric: str
    arms: tuple[ArmResult, ...]
    sections: tuple[Section, ...]
    failed: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def best(self) -> str | None:
        """The label of the arm with the best mean; None if no arm has a result.

        It need not be better than the others by more than chance; see `winner`.
        """
        return best_of(self.metric, self._values)

    @property
    def winner(self) -> str | None:
        """The label of the arm that is better than all others; None if chance can explain it."""
        return verdict(self.metric, self._values).winner

    @property
    def verdict(self) -> str:
        """Why a winner is named or not, and the result of the best arm on the test set."""
        return "\n".join(result(self.arms, self.metric))

    @property
    def _values(self) -> list[tuple[str, Mapping[int, float]]]:
        return [(arm.label, arm.values(self.metric)) for arm in self.arms]

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Every table by its name."""
        return {table.name: table for table in tables(self.sections)}

    def rows(self, table: str = "arms") -> list[dict[str, Any]]:
        """A table as a list of rows, for `pandas.DataFrame(report.rows("arms"))`.

        Numbers have all digits, in the unit that the column's title states.

        Raises:
            UserError: there is no such table.
        """
        wanted = self._table(table)
        return [
            {
                name: cell.text if cell.value is None else cell.value
                for name, cell in zip(wanted.head, row, strict=True)
            }
            for row in wanted.cells()
        ]

    def csv(self, table: str = "arms") -> str:
        """A table as CSV; numbers have all digits.

        Raises:
            UserError: there is no such table.
        """
        return as_csv(self._table(table))

    def latex(self, table: str = "arms") -> str:
        """A table as LaTeX, which needs the package booktabs.

        Raises:
            UserError: there is no such table.
        """
        return as_latex(self._table(table))

    def markdown(self) -> str:
        """The whole report as Markdown; its figures are the files that `write` makes."""
        return as_markdown(self.title, self.sections)

    def html(self, refresh: int | None = None) -> str:
        """The whole report as an HTML page, which a browser reloads every `refresh` seconds."""
        return page(self.title, self.sections, refresh)

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise UserError(f"report: no table {name}; {nearest(name, self.tables)}")
        return self.tables[name]

    def write(self, folder: str | Path, refresh: int | None = None) -> Path:
        """Write report.html, report.md, every figure as SVG and PDF, every table as LaTeX and CSV.

        Args:
            folder: the folder, which is created if needed. Files of an earlier report are replaced.
            refresh: seconds after which a browser reloads the page; None for never.

        Returns:
            The path of the page, report.html.
        """
        folder = Path(folder)
        write_text(folder / "report.html", self.html(refresh))
        write_text(folder / "report.md", self.markdown())
        for figure in figures(self.sections):
            (folder / FIGURES).mkdir(exist_ok=True)
            for ending, content in figure.files.items():
                (folder / FIGURES / f"{figure.name}.{ending}").write_bytes(content)
        for name, table in self.tables.items():
            write_text(folder / TABLES / f"{name}.tex", as_latex(table))
            write_text(folder / TABLES / f"{name}.csv", as_csv(table))
        return folder / "report.html"


class Reporter:
    """Makes reports of the same runs, again and again; each arm is planned only once.

    Attributes:
        paths: the folders of runs and sweeps.
        no_figures: why the report has no figures; empty if it has.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        plan: Callable[[Loaded], Plan],
        *,
        metric: str | None = None,
        against: str | None = None,
        x: str = "updates",
        option: str = "",
    ) -> None:
        """Prepare a report.

        Args:
            paths: the folders of runs and sweeps.
            plan: plans a spec.
            metric: the metric by which arms are compared; None means the main metric that all arms
                have.
            against: the label of the arm that differences are taken to; None means the first.
            x: the horizontal axis of curves, one of `ABSCISSAE`.
            option: is put before the names of arguments in errors, such as `--`.

        Raises:
            UserError: `x` is not one of `ABSCISSAE`.
        """
        if x not in ABSCISSAE:
            raise UserError(f"report: {option}x {x}: no such axis; {nearest(x, ABSCISSAE)}")
        self.paths, self._plan, self._over = tuple(paths), plan, ABSCISSAE[x]
        self._metric, self._against, self._option = metric, against, option
        self._costs: dict[str, Cost | None] = {}
        self._pictures: dict[str, str] = {}
        self.no_figures = ""
        try:
            plotting("report: figures")
        except UserError as error:
            self.no_figures = str(error)

    def report(self, collected: Collected | None = None) -> Report:
        """Make a report.

        Args:
            collected: runs that were collected before; None reads them now.

        Raises:
            UserError: there is no run, or no arm or metric with the given name.
            ResumeError: a path is not the folder of a run, or all runs are damaged.
        """
        collected = collect(self.paths) if collected is None else collected
        arms = collected.arms
        base = self._base(arms)
        metric = today(self._metric) if self._metric is not None else _leading(arms)
        self._refuse_metric(arms, metric)
        failed = failures(self.paths)
        costs = {arm.label: cost for arm in arms if (cost := self._cost(arm)) is not None}
        draws = not self.no_figures
        drawn = {
            arm.label: svg for arm in arms if (svg := self._pictures.get(spec_hash(arm.loaded)))
        }
        sections = compose(collected, metric, base, costs, self._over, draws, failed, drawn)
        title = f"Report of {', '.join(path.name for path in self.paths)}"
        return Report(
            title, metric, tuple(arms), tuple(sections), tuple(failed), collected.left_out
        )

    def _cost(self, arm: ArmResult) -> Cost | None:
        """The cost of an arm; None if its data are not on this machine."""
        key = spec_hash(arm.loaded)
        if key not in self._costs:
            try:
                plan = self._plan(arm.loaded)
                cost = Cost(update_flops(plan), plan.steps, plan.steps_per_epoch)
                self._pictures[key] = picture(plan)
            except UserError:
                cost = None
            self._costs[key] = cost
        return self._costs[key]

    def _base(self, arms: Sequence[ArmResult]) -> ArmResult:
        labels, against = [arm.label for arm in arms], self._against
        if against is None:
            return arms[0]
        if against not in labels:
            problem = f"report: {self._option}against {against}: no such arm"
            raise UserError(f"{problem}; {nearest(against, labels)}")
        return arms[labels.index(against)]

    def _refuse_metric(self, arms: Sequence[ArmResult], metric: str) -> None:
        known = {name for arm in arms for run in arm.runs for line in run.lines for name in line}
        if known and metric not in known:
            hint = nearest(metric, sorted(known - {"step"}))
            raise UserError(f"report: {self._option}metric {metric}: no run has it; {hint}")


def _leading(arms: Sequence[ArmResult]) -> str:
    """The metric by which all arms can be compared, on the validation set if every arm has one."""
    main = [leading(arm.loaded.experiment.data, arm.loaded.experiment.losses) for arm in arms]
    return max(main, key=lambda metric: metric.of_test_set).name
