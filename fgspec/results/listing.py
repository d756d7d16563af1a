"""A table of runs: the state of each, its metrics, and the fields in which their specs differ."""

import fnmatch
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fgspec.errors import DamagedRecord, UserError
from fgspec.problems.problems import closest, dotted, flow
from fgspec.show.text import followed
from fgspec.spec.metrics import today
from fgspec.sweeps.expand import UNTRAINED
from fgspec.sweeps.folder import DAMAGED, run_state
from fgspec.training.records import read_record
from fgspec.training.run_folder import RunDir
from fgspec.training.run_log import checked_lines
from fgspec.training.which_run import runs_below
from fgspec.yaml.load import YamlError, read, scalar

FACTS = ("run", "name", "state", "step", "age", "spec")
"""Columns that are neither metrics nor fields of a spec."""


_SPEC_WIDTH = 60
"""The width in characters of the column with the fields that differ."""


@dataclass(frozen=True)
class Listed:
    """One run.

    Attributes:
        path: its folder.
        state: `begun`, `done`, `preempted`, `failed` or `damaged`.
        step: the step of the last line of its metrics.
        started: when it began; None if its record cannot be read.
        metrics: the last value of each metric.
        fields: the fields of its resolved spec, by path.
        differs: those of the fields in which the runs of the table differ.
    """

    path: Path
    state: str
    step: int = 0
    started: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    differs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its spec."""
        return str(self.fields.get("name", self.path.parent.name))

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return 0.0 if self.started is None else (datetime.now(UTC) - self.started).total_seconds()

    def value(self, column: str) -> Any:
        """The value in a column, or None. Metrics may be given by their former names."""
        column = today(column)
        if column in ("name", "state", "step", "age"):
            return getattr(self, column)
        if column == "run":
            return str(self.path)
        if column == "spec":
            return " ".join(f"{name}={flow(value)}" for name, value in self.differs.items())
        return self.metrics.get(column, self.fields.get(column))

    def json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        started = None if self.started is None else self.started.isoformat()
        own = {"run": str(self.path), "name": self.name, "state": self.state, "step": self.step}
        own |= {"started": started, "metrics": dict(self.metrics), "differs": dict(self.differs)}
        return own


def listed(folder: Path) -> list[Listed]:
    """All runs below a folder, the newest last.

    Raises:
        UserError: there is no run.
    """
    if not (runs := runs_below(folder)):
        raise UserError(
            f"{folder}: no runs; give the folder that was given to fgspec train --run-dir"
        )
    return [_look(path) for path in runs]


def compared(runs: Sequence[Listed]) -> list[Listed]:
    """The runs, each with its values of the fields in which their specs differ."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.fields.items():
            values.setdefault(name, set()).add(json.dumps(value))
    differ = [name for name, each in values.items() if len(each) > 1 and name not in UNTRAINED]
    return [
        replace(run, differs={name: run.fields[name] for name in differ if name in run.fields})
        for run in runs
    ]


def _look(path: Path) -> Listed:
    run, step, metrics = RunDir(path), 0, dict[str, float]()
    try:
        fields = dict(_leaves(read(run.resolved).value, ()))
    except YamlError:
        fields = {}
    try:
        began = read_record(run.provenance).get("started")
        started = None if began is None else datetime.fromisoformat(began)
        for line in checked_lines(run):
            step = int(line["step"])
            metrics |= {name: value for name, value in line.items() if name != "step"}
        return Listed(path, run_state(run), step, started, metrics, fields)
    except (DamagedRecord, KeyError, TypeError, ValueError):
        return Listed(path, DAMAGED, fields=fields)


def _leaves(tree: Any, at: tuple[str, ...]) -> Iterable[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        yield dotted(at), tree
        return
    for key, value in tree.items():
        yield from _leaves(value, (*at, key))


# ---------------------------------------------------------------------------- chosen and shown


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


def chosen(runs: Sequence[Listed], conditions: Sequence[str]) -> list[Listed]:
    """The runs that satisfy all conditions, such as `state=done` or `test/error<0.1`.

    Text may contain the wildcards of file names. A run without a value satisfies only `!=`.

    Raises:
        UserError: a condition cannot be read, or names something that no run has.
    """
    kept = list(runs)
    for text in conditions:
        match = re.fullmatch(r"([\w./\[\]-]+)\s*(<=|>=|!=|=|<|>)\s*(.+)", text.strip())
        if match is None:
            raise UserError(f"--filter: must be like state=done or train/loss<0.1 (got {text})")
        column, sign, wanted = match.groups()
        refuse_unknown("--filter", [column], runs)
        kept = [run for run in kept if _holds(run.value(column), sign, wanted)]
    return kept


def _holds(value: Any, sign: str, wanted: str) -> bool:
    try:
        limit = scalar(wanted)
    except YamlError:
        limit = wanted
    if value is None:
        return sign == "!="
    if isinstance(value, str):
        limit = wanted
        if sign in ("=", "!="):
            return fnmatch.fnmatchcase(value, wanted) == (sign == "=")
    try:
        return _OPERATORS[sign](value, limit)
    except TypeError:
        return False


def in_order(runs: Sequence[Listed], column: str) -> list[Listed]:
    """The runs sorted by a column, descending if it starts with `-`; runs without a value last.

    Raises:
        UserError: no run has this column.
    """
    name = column.removeprefix("-")
    refuse_unknown("--sort", [name], runs)
    have = [run for run in runs if run.value(name) is not None]
    have.sort(key=lambda run: _comparable(run.value(name)), reverse=column.startswith("-"))
    return have + [run for run in runs if run.value(name) is None]


def _comparable(value: Any) -> tuple[int, Any]:
    number = isinstance(value, int | float)
    return (0, value) if number else (1, str(value))


def default_columns(runs: Sequence[Listed]) -> list[str]:
    """The columns that a table has by default."""
    metrics = list(followed({name for run in runs for name in run.metrics}))
    return ["run", "state", "step", *metrics, "age", "spec"]


def refuse_unknown(option: str, names: Iterable[str], runs: Sequence[Listed]) -> None:
    """Raise for a column that no run has.

    Raises:
        UserError: no run has the column; the message suggests the most similar one.
    """
    known = [*FACTS, *dict.fromkeys(name for run in runs for name in (*run.metrics, *run.fields))]
    for name in names:
        if today(name) not in known:
            close = closest(name, known)
            hint = f"did you mean {close}?" if close else "fgspec runs --json shows what runs have"
            raise UserError(f"{option}: no run has {name}; {hint}")


def rows(runs: Sequence[Listed], columns: Sequence[str]) -> list[list[str]]:
    """A header and a row for every run, as text."""
    return [list(columns), *([_cell(run, column) for column in columns] for run in runs)]


def _cell(run: Listed, column: str) -> str:
    value = run.value(column)
    if column == "age":
        return "" if run.started is None else span(run.age)
    if value is None:
        return ""
    if column == "spec":
        return _shortened([f"{name}={flow(value)}" for name, value in run.differs.items()])
    if column in run.metrics:
        return f"{value:.4f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.3g}"
    return value if isinstance(value, str) else flow(value)


def _shortened(words: Sequence[str]) -> str:
    """The first words that fit, and how many more there are."""
    fit = 1
    while fit < len(words) and len(" ".join(words[: fit + 1])) <= _SPEC_WIDTH:
        fit += 1
    more = [f"and {len(words) - fit} more"] if len(words) > fit else []
    return " ".join([*words[:fit], *more])


def span(seconds: float) -> str:
    """A time in a single unit, such as `3 min`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
