"""Problems of a spec, and the lines that tell a person where and how to mend them."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fgspec.errors import UserError
from fgspec.yaml12 import Mark, Path


@dataclass(frozen=True)
class Origin:
    """Where a value of a resolved spec comes from."""

    kind: Literal["file", "--set", "rule", "default"]
    key: Mark | None = None
    value: Mark | None = None
    rule: str = ""

    def __str__(self) -> str:
        """The place as `fgspec show` prints it."""
        if self.kind == "rule":
            return f"rule {self.rule}" + (f" ({self.key})" if self.key else "")
        return str(self.key) if self.kind == "file" else self.kind


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at `path`: what was expected there and what to do about it.

    Attributes:
        path: keys from the root of the spec.
        message: expectation and remedy, without place and value.
        shows: whether the value at `path` is printed.
        others: further paths whose values take part; each is printed with its place.
        at_key: whether the place is that of the key instead of the value.
    """

    path: Path
    message: str
    shows: bool = True
    others: tuple[Path, ...] = ()
    at_key: bool = False


class SpecError(UserError):
    """Everything that is wrong with a spec, one line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


MISSING: Any = object()


def lookup(tree: Any, path: Path) -> Any:
    """The value at `path` of nested mappings and lists, or MISSING."""
    for key in path:
        if isinstance(tree, Mapping):
            tree = tree.get(key, MISSING)
        elif isinstance(tree, Sequence) and not isinstance(tree, str) and isinstance(key, int):
            tree = tree[key] if key < len(tree) else MISSING
        else:
            return MISSING
    return tree


def dotted(path: Path) -> str:
    """`optimizer.learning_rate`, `architecture.hidden[1]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def shown(value: Any) -> str:
    """A value as it would stand in a spec, shortened to one line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = text.replace('"', "") if isinstance(value, list | tuple | dict) else text
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean x?` when a known name is close, otherwise the list of the known."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def origin_of(origins: Mapping[Path, Origin], path: Path) -> Origin:
    """The origin of the nearest of `path` and its parents that has one."""
    for end in range(len(path), -1, -1):
        found = origins.get(path[:end])
        if found is not None:
            return found
    return Origin("default")


def _place(origins: Mapping[Path, Origin], problem: Problem, file: str) -> Mark | str:
    origin = origin_of(origins, problem.path)
    exact = problem.path in origins
    mark = origin.key if problem.at_key or not exact else origin.value
    if origin.kind == "--set":
        return "--set"
    return mark or Mark(file, 1, 1)


def _other(origins: Mapping[Path, Origin], tree: Any, path: Path) -> str:
    origin = origins.get(path)
    value = lookup(tree, path)
    known = "" if value is MISSING else f" is {shown(value)}"
    if origin is None or origin.kind == "default":
        return f"{dotted(path)}{known} by default"
    return f"{dotted(path)}{known} at {origin.value or origin}"


def render(
    problems: Iterable[Problem], tree: Any, origins: Mapping[Path, Origin], file: str
) -> SpecError:
    """The error that tells all `problems` of a spec in the order of their places.

    Args:
        problems: what is wrong.
        tree: the plain values that `path` leads into.
        origins: where each value of `tree` comes from.
        file: named where nothing better is known.
    """
    rows: list[tuple[tuple[int, str, int, int], str]] = []
    for problem in problems:
        place = _place(origins, problem, file)
        value = lookup(tree, problem.path)
        extra = [f"got {shown(value)}"] if problem.shows and value is not MISSING else []
        extra += [_other(origins, tree, path) for path in problem.others]
        detail = f" ({'; '.join(extra)})" if extra else ""
        label = f"{dotted(problem.path)}: " if problem.path else ""
        key = (1, "", 0, 0) if isinstance(place, str) else (0, place.file, place.line, place.column)
        rows.append((key, f"{place}: {label}{problem.message}{detail}"))
    return SpecError([line for _, line in sorted(dict.fromkeys(rows))])
