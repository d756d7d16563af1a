"""The cells of a paper's table: specs in a folder, by column and row, with scaled epochs."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgspec.errors import UserError
from fgspec.loading.spec_file import Loaded, load, setting
from fgspec.problems.problems import dotted, nearest
from fgspec.results.statistics import summary
from fgspec.show.text import columns
from fgspec.spec.metrics import TEST, today
from fgspec.sweeps.expand import Arm, Sweep, is_sweep, load_sweep
from fgspec.sweeps.folder import RunStatus

COUNTED = ("epochs", "every_epochs", "warmup_epochs")
"""Names of fields that count epochs, in any section."""


@dataclass(frozen=True)
class Cell:
    """One number of a table, and the spec that should reproduce it."""

    column: str
    row: str
    arm: Arm

    @property
    def label(self) -> str:
        """The name of its runs."""
        return f"{self.column}.{self.row}"


def table_at(folder: Path, name: str) -> dict[str, list[Path]]:
    """The files of a table by column: subfolders with specs, or files of specs or sweeps.

    Args:
        folder: the folder of all specs.
        name: the name of a folder in it, or of a file without its ending, such as ren2022/table3.

    Raises:
        UserError: there is no such folder or table.
    """
    if not folder.is_dir():
        raise UserError(
            f"reproduce: --specs {folder}: no such folder; give the folder `specs` of fgspec's "
            "repository"
        )
    place, file = folder / name, folder / f"{name}.yaml"
    if file.is_file():
        return {file.stem: [file]}
    columns = _columns(place) if place.is_dir() else {}
    if not columns:
        hint = nearest(name, known(folder))
        raise UserError(f"reproduce: {name}: there is no such table in {folder}/; {hint}")
    return columns


def _columns(place: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(place.iterdir()):
        if path.name.startswith("_"):
            continue
        if path.is_dir():
            found[path.name] = _files(path)
        elif path.suffix == ".yaml":
            found[path.stem if is_sweep(path) else place.name] = [
                *found.get(place.name, []),
                path,
            ]
    return {column: files for column, files in found.items() if files}


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.yaml") if not p.name.startswith("_"))


def known(folder: Path) -> list[str]:
    """The names of all tables: folders and sweeps two levels below the folder of all specs."""
    tables = {
        path.relative_to(folder).with_suffix("")
        for path in folder.glob("*/*")
        if not path.name.startswith("_") and (path.is_dir() or is_sweep(path))
    }
    return sorted(map(str, tables))


def cells_of(table: Mapping[str, list[Path]], asked: "Asked") -> list[Cell]:
    """The requested cells in the requested order, with scaled epochs.

    Raises:
        UserError: a column or a row is not in the table.
        SpecError: a spec is wrong.
    """
    _refuse_unknown("columns", asked.columns, table)
    cells = {
        (column, arm.label): Cell(column, arm.label, arm)
        for column in asked.columns or table
        for file in table[column]
        for arm in _arms(file)
    }
    rows = list(dict.fromkeys(row for _, row in cells))
    _refuse_unknown("rows", asked.rows, rows)
    return [
        Cell(column, row, _scaled(cells[column, row], asked))
        for column in asked.columns or table
        for row in asked.rows or rows
        if (column, row) in cells
    ]


@dataclass(frozen=True)
class Asked:
    """Which cells of a table are requested, and how long they are trained.

    Attributes:
        columns: names of columns; empty for all.
        rows: names of rows; empty for all.
        budget: the factor that all numbers of epochs are multiplied by.
        seeds: the seeds of every cell.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    budget: float
    seeds: tuple[int, ...]


def _refuse_unknown(what: str, asked: Sequence[str], there: Collection[str]) -> None:
    for name in asked:
        if name not in there:
            raise UserError(
                f"reproduce: --{what} {name}: is not in this table; {nearest(name, there)}"
            )


def _arms(file: Path) -> tuple[Arm, ...]:
    """The arms of a file without baselines, which are not part of the table."""
    if not is_sweep(file):
        return (Arm(file.stem, load(file)),)
    return tuple(arm for arm in load_sweep(file).arms if arm.baseline is None)


def _scaled(cell: Cell, asked: Asked) -> Arm:
    """A cell's spec with the first seed and scaled epochs."""
    loaded = cell.arm.loaded
    sets = [f"{dotted(path)}={value}" for path, value in _counts(loaded.values(), asked.budget)]
    if loaded.experiment.expect is not None and asked.budget != 1:
        source = f"{loaded.experiment.expect.source}; here {_share(loaded, asked.budget)}"
        sets.append(f"expect.source={json.dumps(source)}")
    before = [setting(text) for text in loaded.overrides]
    again = load(loaded.file, [*sets, f"seed={asked.seeds[0]}"], before)
    return Arm(cell.label, again)


def _share(loaded: Loaded, budget: float) -> str:
    """The length of a shortened spec, such as "3 of 300 epochs"."""
    training = loaded.values()["training"]
    what = "epochs" if training["epochs"] is not None else "steps"
    return f"{max(round(training[what] * budget), 1)} of {training[what]} {what}"


def _counts(tree: Any, budget: float, at: tuple[str, ...] = ()) -> Iterator[tuple[Any, int]]:
    """Every number of epochs or updates, times the budget; at least 1, or 0 for a warm-up.

    All numbers are scaled, so that the schedule still ends where the run does.
    """
    if budget == 1 or not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        path = (*at, key)
        if value and (key in COUNTED or path == ("training", "steps")):
            part = int(value * budget) if key == "warmup_epochs" else round(value * budget)
            yield path, part if key == "warmup_epochs" else max(part, 1)
        yield from _counts(value, budget, path)


def as_sweep(name: str, cells: Sequence[Cell], asked: Asked, text: str) -> Sweep:
    """The cells as a sweep; its folder keeps the runs of all budgets."""
    arms = tuple(cell.arm for cell in cells)
    return Sweep(f"reproduce-{name.replace('/', '-')}", text, arms, asked.seeds)


def unverified(cells: Sequence[Cell]) -> list[str]:
    """A line that names the cells whose number was never compared with a run, by their spec."""
    expected = ((cell, cell.arm.loaded.experiment.expect) for cell in cells)
    labels = [cell.label for cell, expect in expected if expect and expect.verified is False]
    if not labels:
        return []
    return [f"* not verified: no run of these specs was compared before: {', '.join(labels)}"]


def comparison(cells: Sequence[Cell], runs: Sequence[RunStatus]) -> list[str]:
    """The paper's numbers beside the measured ones, in per cent; three columns for each column.

    The measured number is the mean over seeds, with the standard deviation if there are several. A
    star marks numbers that are not verified.
    """
    names = list(dict.fromkeys(cell.column for cell in cells))
    rows = list(dict.fromkeys(cell.row for cell in cells))
    by_place = {(cell.row, cell.column): cell for cell in cells}
    above = [word for name in names for word in ("", name, "")]
    lines = [("", *above), ("", *("paper", "measured", "difference") * len(names))]
    for row in rows:
        threes = [_three(by_place.get((row, name)), runs) for name in names]
        lines.append((row, *(cell for three in threes for cell in three)))
    return [*columns(lines), *unverified(cells)]


def _three(cell: Cell | None, runs: Sequence[RunStatus]) -> tuple[str, str, str]:
    """The paper's number, the measured one, and their difference."""
    if cell is None:
        return "", "", ""
    expect = cell.arm.loaded.experiment.expect
    metric = today(expect.metric) if expect is not None else f"{TEST}/error"
    done = [run for run in runs if run.planned.arm == cell.label and run.state == "done"]
    measured = summary({run.planned.seed: run.metrics[metric] for run in done})
    paper = "" if expect is None else f"{expect.value:.2%}"
    if expect is not None and expect.verified is False:
        paper += " *"
    if measured is None:
        states = {run.state for run in runs if run.planned.arm == cell.label}
        return paper, ", ".join(sorted(states)), ""
    spread = "" if measured.deviation is None else f" ± {measured.deviation * 100:.2f}"
    off = "" if expect is None else f"{(measured.mean - expect.value) * 100:+.2f}"
    return paper, f"{measured.mean:.2%}{spread}", off
