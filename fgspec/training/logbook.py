"""What a run writes down: one JSON line of metrics a report, and whole files written at once."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Logbook:
    """Appends to `metrics.jsonl`: `{"step": 10, "train/loss": 0.25}`, one line a write.

    Floats are written by `repr`, the shortest text that reads back as the same float. JSON has no
    NaN and no infinities: they are written as the strings "nan", "inf" and "-inf", which every
    strict reader accepts and `read` turns back into floats.

    Args:
        path: The file, made if missing; a torn last line, which the next one would be glued to,
            is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            write_text(path, "".join(f"{line}\n" for line in _whole_lines(path)))
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends one line and hands it to the operating system, so that kill -9 cannot lose it.

        Args:
            step: The number of updates done.
            metrics: Name to value; anything that `float` takes, such as a 0-d array.

        Raises:
            ValueError: A metric is named `step`.
        """
        if "step" in metrics:
            raise ValueError("a metric cannot be named 'step'")
        values = {name: _encoded(float(value)) for name, value in metrics.items()}
        line = json.dumps({"step": int(step), **values}, allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()

    def truncate(self, step: int) -> None:
        """Drops every line later than `step` and a torn last line; the file is replaced at once.

        Args:
            step: The step at which a run resumes.
        """
        kept = [line for line in _whole_lines(self._path) if json.loads(line)["step"] <= step]
        write_text(self._path, "".join(f"{line}\n" for line in kept))
        self._file.close()
        self._file = self._path.open("a", encoding="utf-8", newline="\n")

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


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, each with an int `step` and float metrics.

    A torn last line, the mark of a killed process, is left out.

    Args:
        path: A file that `Logbook` wrote; a missing one has no lines.

    Raises:
        ValueError: Another line than the last is damaged; the text names file and line.
    """
    return [
        {name: _decoded(value) for name, value in json.loads(line).items()}
        for line in _whole_lines(path)
    ]


def last_values(path: Path) -> dict[str, float]:
    """The last value of each metric, in the order of first appearance; `step` is left out.

    Args:
        path: A file that `Logbook` wrote.
    """
    values: dict[str, float] = {}
    for line in read(path):
        values.update((name, value) for name, value in line.items() if name != "step")
    return values


def write_json(path: Path, value: Any) -> None:
    """Replaces a file by the JSON of a value, indented, ending in a newline.

    NaN and the infinities become the strings "nan", "inf" and "-inf".

    Args:
        path: The file; its folder is made if missing.
        value: Dictionaries with string keys, lists, tuples, strings, numbers, booleans, None.
    """
    write_text(path, json.dumps(_encoded(value), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: a reader, or a crash, sees the old text or the new, never a part.

    Args:
        path: The file; its folder is made if missing.
        text: Its text, encoded as UTF-8 without any change of line ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            # mkstemp lets only the owner read; results are meant to be read like any file.
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
            file.write(text)
            file.flush()
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


def _whole_lines(path: Path) -> list[str]:
    """All lines that are complete JSON objects; only the last may be torn.

    Raises:
        ValueError: Another line is damaged.
    """
    if not path.exists():
        return []
    *lines, torn = path.read_bytes().split(b"\n")
    if torn and _is_entry(torn):
        lines.append(torn)
    elif not torn and lines and not _is_entry(lines[-1]):
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not _is_entry(line):
            raise ValueError(f"{path}:{number}: this line is no JSON object with a step")
    return [line.decode() for line in lines]


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and isinstance(entry.get("step"), int)


def _encoded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else repr(float(value))
    if isinstance(value, Mapping):
        return {name: _encoded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(inner) for inner in value]
    return value


def _decoded(value: Any) -> Any:
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value
