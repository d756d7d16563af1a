"""The run that a user means: by its folder, its name, the folder around it, or as `latest`."""

from collections.abc import Sequence
from pathlib import Path

from fgspec.errors import NoRunError
from fgspec.training.run_folder import RunDir, begun

RUNS = Path("runs")
"""Where runs are looked for by name; `fgspec train` makes them there."""

LATEST = "latest"

_DEPTH = 3
"""Folders from that of all runs down to one: of a sweep, of a spec's name, of the run."""

_SHOWN = 5

_SWEEP = "sweep.json"


def runs_below(folder: Path) -> list[Path]:
    """Every run in a folder, or in folders of it, the newest last."""
    patterns = ("/".join(["*"] * depth + ["provenance.json"]) for depth in range(1, _DEPTH + 1))
    found = {file.parent for pattern in patterns for file in folder.glob(pattern)}
    runs = [path for path in found if found.isdisjoint(path.parents)]  # no bundle of a broken one
    return sorted(runs, key=lambda path: (_written(path), path.name))


def _written(path: Path) -> float:
    """When something of a run was written last, in seconds since 1970."""
    run = RunDir(path)
    files = (run.provenance, run.metrics, run.summary)
    return max(file.stat().st_mtime for file in files if file.exists())


def the_folder(named: Path) -> Path:
    """The folder of runs that is meant: by its path, or by its name below `runs`."""
    below = RUNS / named
    return below if not named.exists() and below.is_dir() else named


def the_run(named: Path) -> Path:
    """The folder of the run that is meant.

    Args:
        named: its folder, or that of a sweep; a folder with one run; `latest`, or `latest` in a
            folder; the name of a run, or how that begins, or of a spec with one run, below `runs`.

    Returns:
        The folder; `named` itself where no run is meant, so that whoever opens it says why not.

    Raises:
        NoRunError: several are meant.
    """
    if begun(named) or _is_sweep(named):
        return named
    if not named.exists() and _is_sweep(RUNS / named):
        return RUNS / named
    if named.name == LATEST and not named.exists():
        around = named.parent if len(named.parts) > 1 else RUNS
        return (runs_below(around) or [named])[-1]
    if named.exists():
        return _only(named, runs_below(named) if named.is_dir() else [])
    if len(named.parts) > 1:
        return named
    there = runs_below(RUNS)
    of_spec = [path for path in there if path.parent.name == named.name]
    return _only(named, of_spec or [path for path in there if path.name.startswith(named.name)])


def the_sweep(named: Path) -> Path:
    """The folder of the sweep that is meant: by its folder, its name below `runs`, or `latest`.

    Returns:
        The folder; `named` itself where no sweep is meant, so that whoever opens it says why not.
    """
    if _is_sweep(named) or named.exists():
        return named
    if str(named) == LATEST:
        found = RUNS.glob(f"*/{_SWEEP}")
        newest = max(found, key=lambda file: file.stat().st_mtime, default=named / _SWEEP)
        return newest.parent
    return RUNS / named if _is_sweep(RUNS / named) else named


def _is_sweep(path: Path) -> bool:
    return (path / _SWEEP).is_file()


def _only(named: Path, found: Sequence[Path]) -> Path:
    if len(found) < 2:
        return found[0] if found else named
    newest = [str(path) for path in reversed(found)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    latest = (named if named.exists() else found[-1].parent) / LATEST
    raise NoRunError(
        f"{named}: {len(found)} runs; give one of {', '.join(newest[:_SHOWN])}{more}, or {latest}"
    )
