"""What a run writes down: one JSON line of metrics a report, and whole files written at once."""

import hashlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fgspec.errors import DamagedRecord
from fgspec.spec.metrics import today

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


HEADER = ("step", "time", "epoch", "learning_rate", "examples", "digest")
"""What a line holds beside its metrics, in this order; no metric may have such a name.

step: updates done. time: when the line was written, in seconds since 1970-01-01 UTC. epoch: passes
over the training set, with a fraction. learning_rate: of the line's last update, before factors of
readouts. examples: a hash of the ids of all examples so far, in their order. digest: the first
digits of the SHA-256 of all bytes of the file in front of this field.
"""

_TEXTS = ("examples", "digest")
NEWLINE = b"\n"
_DIGITS = 16
_TAIL = b', "digest": "%s"}\n'
_ENDING = re.compile(rb', "digest": "([0-9a-f]{16})"}\Z')


@dataclass(frozen=True)
class Seal:
    """The beginning of a log as it was: its first `size` bytes have this SHA-256."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The seal of these bytes."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """The seal in a JSON object that `asdict` made; None if it is none."""
        try:
            return cls(int(value["size"]), str(value["sha256"]))
        except (KeyError, TypeError, ValueError):
            return None


Seals = Mapping[str, Seal]
"""Seals by who took them, such as `checkpoint 40`."""


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        step: the number of updates done.
        about: the other fields of `HEADER` but `digest`; those that the line has.
        metrics: name to value.
    """

    step: int
    about: Mapping[str, float | str]
    metrics: Mapping[str, float]


class Logbook:
    """Appends to `metrics.jsonl`: `{"step": 10, ..., "train/loss": 0.25, "digest": "..."}`.

    Floats are written by `repr`, the shortest text that reads back as the same float. JSON has no
    NaN and no infinities: they are written as the strings "nan", "inf" and "-inf", which every
    strict reader accepts and `read` turns back into floats.

    Args:
        path: The file, made if missing.
        kept: The bytes of it that stay, whole lines; all whole lines if None.
        clock: The time, in seconds since 1970.

    Raises:
        DamagedRecord: `kept` is None, and a line of the file is damaged.
    """

    def __init__(
        self, path: Path, kept: bytes | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._path, self._clock = path, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.exists() else b""
        lines = _parsed(path, before if kept is None else kept)
        whole = _joined(raw for _, raw in lines)
        if whole != before:
            write_text(path, whole.decode())
        self._size, self._digest = len(whole), hashlib.sha256(whole)
        self._last: dict[str, float] = {}
        for line, _ in lines:
            self._last.update({today(name): value for name, value in line.metrics.items()})
        self._file = path.open("ab")

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        about: Mapping[str, float | str] | None = None,
    ) -> None:
        """Appends one line and hands it to the operating system, so that kill -9 cannot lose it.

        Args:
            step: The number of updates done.
            metrics: Name to value; anything that `float` takes, such as a 0-d array.
            about: Other fields of `HEADER`: `epoch`, `learning_rate`, `examples`.

        Raises:
            ValueError: A metric has the name of a field of `HEADER`.
        """
        if taken := [name for name in HEADER if name in metrics]:
            raise ValueError(f"a metric cannot be named {taken[0]!r}")
        values = {name: float(value) for name, value in metrics.items()}
        fields = {"step": int(step), "time": round(self._clock(), 3), **(about or {}), **values}
        head = json.dumps(encoded(fields), allow_nan=False).encode()[:-1]
        self._digest.update(head)
        tail = _TAIL % self._digest.hexdigest()[:_DIGITS].encode()
        self._digest.update(tail)
        self._size += len(head) + len(tail)
        self._file.write(head + tail)
        self._file.flush()
        self._last.update(values)

    def seal(self) -> Seal:
        """The seal of all that this object wrote and kept."""
        return Seal(self._size, self._digest.hexdigest())

    def last_values(self) -> dict[str, float]:
        """The last value of each metric among the lines that this object wrote and kept."""
        return dict(self._last)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()


def lines_of(path: Path, seals: Seals | None = None) -> list[Line]:
    """The lines of a metrics file.

    A torn last line, the mark of a killed process, is left out.

    Args:
        path: A file that `Logbook` wrote; a missing one has no lines.
        seals: Of parts of it, which must hold.

    Raises:
        DamagedRecord: Naming the file, and the line that is damaged or the seal that is broken.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = [line for line, _ in _parsed(path, data)]
    for name, seal in (seals or {}).items():
        _refuse_broken(path, data, name, seal)
    return lines


def read(path: Path, seals: Seals | None = None) -> list[dict[str, Any]]:
    """The lines of a metrics file, each with an int `step` and its metrics; see `lines_of`.

    Metrics have the names of today, whatever version wrote the file.
    """
    return [
        {"step": line.step} | {today(name): value for name, value in line.metrics.items()}
        for line in lines_of(path, seals)
    ]


def kept_at(path: Path, step: int, name: str, seal: Seal | None) -> bytes:
    """What stays of a log where a run is resumed: the sealed part, or all lines up to a step.

    Lines behind the sealed part are dropped, so that it does not matter whether they are damaged.

    Args:
        path: The file.
        step: At which the run is resumed.
        name: Of what took the seal.
        seal: Of the log at that step; None if it was written before logs were sealed.

    Raises:
        DamagedRecord: As `lines_of`, of the part that stays.
    """
    data = path.read_bytes() if path.exists() else b""
    if seal is not None:
        _parsed(path, data[: seal.size])  # to name the line, which a seal cannot
        _refuse_broken(path, data, name, seal)
        return data[: seal.size]
    if step == 0:
        return b""
    return _joined(raw for line, raw in _parsed(path, data) if line.step <= step)


def _refuse_broken(path: Path, data: bytes, name: str, seal: Seal) -> None:
    if len(data) < seal.size:
        raise DamagedRecord(
            f"{path}: lines are missing: it has {data.count(NEWLINE)} lines and {len(data)} "
            f"bytes, but had {seal.size} bytes at {name}"
        )
    if Seal.of(data[: seal.size]) != seal:
        raise DamagedRecord(
            f"{path}: was changed: its first {seal.size} bytes "
            f"({data[: seal.size].count(NEWLINE)} lines) differ from those at {name}"
        )


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + NEWLINE for line in lines)


def write_json(path: Path, value: Any) -> None:
    """Replaces a file by the JSON of a value, indented, ending in a newline.

    NaN and the infinities become the strings "nan", "inf" and "-inf".

    Args:
        path: The file; its folder is made if missing.
        value: Dictionaries with string keys, lists, tuples, strings, numbers, booleans, None.
    """
    write_text(path, json.dumps(encoded(value), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: a reader, or a crash, sees the old text or the new, never a part.

    Args:
        path: The file; its folder is made if missing.
        text: Its text, encoded as UTF-8 without any change of line ends.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces a file at once, as `write_text` does.

    Args:
        path: The file; its folder is made if missing.
        data: What it will hold.
    """
    with replacing(path) as new:
        new.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a place to write a file to, which then replaces the one at `path` at once.

    Args:
        path: The file; its folder is made if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
        with open(name, "rb") as file:
            # mkstemp lets only the owner read; results are meant to be read like any file.
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in a folder outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(path: Path, data: bytes) -> list[tuple[Line, bytes]]:
    """All lines of a log with their bytes; only the last may be torn.

    Raises:
        DamagedRecord: Another line is no line of a log, or its digest is not that of the bytes.
    """
    found: list[tuple[Line, bytes]] = []
    digest, sealed = hashlib.sha256(), False
    rows = data.removesuffix(NEWLINE).split(NEWLINE) if data else []
    for number, raw in enumerate(rows, start=1):
        line, ending = _line(raw), _ENDING.search(raw)
        head = raw[: ending.start()] if ending else raw
        digest.update(head)
        wrong = "" if line is not None else "it is not a JSON object with a step and numbers"
        if ending and ending[1] != digest.hexdigest()[:_DIGITS].encode():
            wrong = wrong or "its digest does not match the file up to this line"
        elif not ending and (sealed or (line is not None and "digest" in line.about)):
            wrong = wrong or "it has no digest, but the line before it has one"
        if line is None or wrong:
            # What a process had not written to its end, or a file system had not when the power
            # failed: such lines have no end, or zeros.
            if number == len(rows) and (not data.endswith(NEWLINE) or b"\0" in raw):
                break
            raise DamagedRecord(f"{path}:{number}: this line is damaged: {wrong}")
        digest.update(raw[len(head) :] + NEWLINE)
        sealed = ending is not None
        found.append((line, raw))
    return found


def _line(raw: bytes) -> Line | None:
    """What a line says; None if it is no line of a log."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or type(entry.get("step")) is not int:
        return None
    fields = {name: _decoded(value) for name, value in entry.items() if name != "step"}
    for name, value in fields.items():
        if type(value) not in ((str,) if name in _TEXTS else (int, float)):
            return None
    about = {name: fields.pop(name) for name in HEADER if name in fields}
    return Line(entry["step"], about, fields)


def encoded(value: Any) -> Any:
    """A value as JSON can hold it: NaN and the infinities as strings, tuples as lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else repr(float(value))
    if isinstance(value, Mapping):
        return {name: encoded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(inner) for inner in value]
    return value


def _decoded(value: Any) -> Any:
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
