"""The folder of a run: what is in it and how it is made, found again and trusted."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fgspec.data.places import default_search
from fgspec.errors import NoRunError, ResumeError, UserError
from fgspec.loading.resolved import identity, resolved_text, spec_hash, whole_identity
from fgspec.loading.spec_file import Loaded, load
from fgspec.problems.problems import SpecError, dotted
from fgspec.spec.plugins import package_version
from fgspec.training.logbook import write_text
from fgspec.training.records import read_record, write_record
from fgspec.training.steps import steps_in
from fgspec.yaml.load import read

LOCK = "lock"
"""The file that process 0 holds locked while it trains; the others hold `lock.1` and so on."""


@dataclass(frozen=True)
class RunDir:
    """The files of one run, below `path`."""

    path: Path

    @property
    def spec(self) -> Path:
        """The user's file, as it was."""
        return self.path / "spec.yaml"

    @property
    def resolved(self) -> Path:
        """The resolved spec; a run is resumed from this alone."""
        return self.path / "resolved.yaml"

    def resolved_before(self, identity: str) -> Path:
        """A resolved spec that the run had before it went on with another."""
        return self.path / f"resolved-{identity[:8]}.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, devices, commit, command, seeds and hashes."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The last value of each metric, and how the run ended."""
        return self.path / "summary.json"

    @property
    def profile(self) -> Path:
        """The folder of the profiler's traces; there is none unless asked for."""
        return self.path / "profile"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def last_step(self) -> int:
        """The step of the newest checkpoint; 0 without any."""
        return max(steps_in(self.checkpoints), default=0)


def _now() -> datetime:
    return datetime.now(UTC)


def create(loaded: Loaded, parent: Path, now: Callable[[], datetime] = _now) -> RunDir:
    """Make `<parent>/<name>/<time>-<hash8>/` and write both specs into it.

    Raises:
        UserError: the folder cannot be created.
    """
    label = f"{now():%Y%m%dT%H%M%S}-{spec_hash(loaded)[:8]}"
    base = parent / loaded.experiment.name
    for attempt in range(1000):
        path = base / (label if attempt == 0 else f"{label}-{attempt}")
        try:
            base.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except OSError as error:
            if isinstance(error, FileExistsError) and path.is_dir():
                continue
            reason = error.strerror or str(error)
            raise UserError(
                f"{path}: cannot be created ({reason}); choose another folder"
            ) from None
        return _with_specs(loaded, path)
    raise UserError(f"{base / label}: already exists a thousand times; choose another folder")


def create_at(loaded: Loaded, path: Path) -> RunDir:
    """Make `path` the folder of a run that has not begun, and write both specs into it.

    Raises:
        UserError: the folder cannot be created, or holds something else.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        # A process that was killed here left no more than these.
        own = (LOCK, f".{RunDir(path).resolved.name}.")
        files = [one for one in path.iterdir() if not one.name.startswith(own)]
        found = bool(files) and not RunDir(path).resolved.is_file()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be created ({reason}); choose another folder") from None
    if found:
        raise UserError(f"{path}: is not empty and not the folder of a run; choose another folder")
    return _with_specs(loaded, path)


def _with_specs(loaded: Loaded, path: Path) -> RunDir:
    run = RunDir(path)
    try:
        write_text(run.resolved, resolved_text(loaded))
        write_text(run.spec, loaded.text)
    except OSError as error:
        with suppress(OSError):
            run.resolved.unlink(missing_ok=True)
            path.rmdir()
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{path}: cannot be written ({reason}); nothing was trained: make room, or choose "
            "another folder"
        ) from None
    return run


def begun(path: Path) -> bool:
    """Whether `path` is the folder of a run that can be gone on with."""
    return RunDir(path).provenance.is_file()


def reopen(path: Path) -> tuple[RunDir, Loaded]:
    """A run's folder and its resolved spec; fields that it had not when it began have defaults.

    Raises:
        NoRunError: `path` is no run.
        ResumeError: its record cannot be read, or its resolved spec is not the one it was started
            with.
    """
    run = RunDir(path)
    if not run.resolved.is_file() or not run.provenance.is_file():
        raise NoRunError(_no_run(path))
    try:
        record = read_record(run.provenance)
        recorded = _spec_hashes(record)
        _refuse_missing(path, record.get("methods", {}) | record.get("trackers", {}))
        written = recorded_hash(run)
        loaded = load(run.resolved)
        if began_in := record.get("data", {}).get("directory"):
            loaded = replace(loaded, search=(Path(began_in), *default_search()))
    except (SpecError, ValueError, KeyError, TypeError) as error:
        raise ResumeError(f"{path}: its records cannot be read: {error}") from None
    if written not in recorded:
        raise ResumeError(
            f"{run.resolved}: was changed since the run started (spec hash {written[:8]}, "
            f"recorded {recorded[0][:8]}); to change fields of a run, use fgspec train --resume "
            f"{path} --set FIELD=VALUE; or start a new run"
        )
    return run, loaded


def _no_run(path: Path) -> str:
    """What a path is that is no run, and what to give instead."""
    if not path.exists():
        return f"{path}: no such folder; give the folder that `fgspec train` printed after `run`"
    if not path.is_dir():
        return f"{path}: is a file; give the folder of a run"
    if (path / "sweep.json").is_file():
        return (
            f"{path}: is the folder of a sweep; give the folder of one of its runs, or "
            "use fgspec report"
        )
    runs = sorted(path.glob("*/provenance.json"), key=lambda file: file.parent.name)
    hint = f"; give the folder of a run, such as {runs[-1].parent}" if runs else ""
    return f"{path}: not a run: it has no resolved.yaml and provenance.json{hint}"


def refuse_unwritable(folder: Path) -> None:
    """Refuse a folder that cannot be written or created, before anything is compiled.

    Raises:
        UserError: the folder cannot be written or created.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason, what = error.strerror or str(error), "written" if folder.is_dir() else "created"
        raise UserError(f"{folder}: cannot be {what} ({reason}); choose another folder") from None


def _spec_hashes(record: Mapping[str, Any]) -> list[str]:
    """What the identity of a run's spec may be; the second only if its last change was cut off.

    A change is recorded before it comes into force.
    """
    changes = record.get("changes", [])
    if not changes:
        return [record["hashes"]["spec"]]
    return [changes[-1]["spec"]["after"], changes[-1]["spec"]["before"]]


def recorded_hash(run: RunDir) -> str:
    """The identity of a run's resolved spec as it is written."""
    record = read_record(run.provenance)
    written = (read(run.resolved).value, record.get("methods", {}), record.get("code"))
    whole = whole_identity(*written)
    return whole if whole in _spec_hashes(record) else identity(*written)


def hash_today(loaded: Loaded, record: Mapping[str, Any]) -> str:
    """The identity of a spec as a run with this record has it: packages and code are the run's."""
    values = json.loads(json.dumps(loaded.values()))
    return identity(values, record.get("methods", {}), record.get("code"))


def _refuse_missing(path: Path, packages: Mapping[str, str]) -> None:
    """Raise if a package that a run's methods come from is not there."""
    for name, version in packages.items():
        if package_version(name) is None:
            raise ResumeError(
                f"{path}: its methods come from {name} {version}, which is not installed; "
                f"pip install {name}=={version}"
            )


def began_as(run: RunDir, loaded: Loaded) -> str:
    """The identity of a run's spec when it began, in the language of that day.

    A run is held to that, so it goes on across versions: a new field's default keeps what was.

    Args:
        run: the run.
        loaded: its spec, for a run that has no record yet.
    """
    if not begun(run.path):
        return spec_hash(loaded)
    return read_record(run.provenance)["hashes"]["spec"]


def new_fields(run: RunDir) -> list[str]:
    """Fields of today's language that a run's spec did not have when it began."""
    today, written = load(run.resolved).values(), read(run.resolved).value
    return [dotted(path) for path in _missing(today, written)]


def _missing(full: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in full.items():
        if key not in part:
            yield (key,)
        elif isinstance(value, Mapping) and isinstance(part[key], Mapping):
            yield from ((key, *rest) for rest in _missing(value, part[key]))


def refuse_other_packages(run: RunDir) -> None:
    """Raise if packages that the methods of `run` come from have other versions than it began with.

    Raises:
        ResumeError: naming the package and both versions.
    """
    began = read_record(run.provenance).get("methods", {})
    for name, version in began.items():
        if (there := package_version(name)) != version:
            raise ResumeError(
                f"{run.path}: cannot be resumed: it started with {name} {version}, but {there} is "
                f"installed; pip install {name}=={version}, or start a new run"
            )


def refuse_changed(run: RunDir, loaded: Loaded) -> None:
    """Raise if other code than fgspec's computes something else than when `run` began.

    Args:
        run: the run.
        loaded: its spec.

    Raises:
        ResumeError: naming the field that names the code.
    """
    began = read_record(run.provenance).get("code", {})
    today = loaded.code() if began else {}
    for field, digest in began.items():
        if today.get(field) != digest:
            raise ResumeError(
                f"{run.path}: {field}: its code has changed since the run started (digest "
                f"{today.get(field, 'none')[:8]}, recorded {digest[:8]}); restore the old code, "
                "or start a new run"
            )


def write_summary(
    run: RunDir, status: str, step: int, metrics: Mapping[str, float], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Write and return `summary.json`.

    Args:
        run: the run.
        status: how it ended: `done`, `preempted` or `failed`.
        step: updates done.
        metrics: the last value of each.
        extra: what else to say, such as the expectation.
    """
    summary = {"status": status, "step": step, "metrics": dict(metrics), **extra}
    write_record(run.summary, summary)
    return summary
