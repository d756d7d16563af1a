"""Problems of a spec, and the lines that tell a person where and how to mend them."""

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fgspec.errors import UserError
from fgspec.problems.synonyms import SYNONYMS
from fgspec.yaml.load import Mark, Path, YamlError, scalar

_PLAIN = re.compile(r"[\w./+-][\w./+ -]*")
_NAME = re.compile(r"[\w-]+")
_WIDTH = 60


@dataclass(frozen=True)
class Origin:
    """Where a value of a resolved spec comes from."""

    kind: Literal["file", "--set", "--track", "rule", "default"]
    key: Mark | None = None
    value: Mark | None = None
    rule: str = ""

    @property
    def place(self) -> str:
        """Where a message about the value begins."""
        option = "--track" if self.kind == "--track" else "--set"
        return str(self.value or self.key) if self.kind == "file" else option

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


def are_items(value: Any) -> bool:
    """Whether a mapping stands for some items of a list, by number; keys of a spec are text."""
    return isinstance(value, Mapping) and bool(value) and all(type(key) is int for key in value)


def dotted(path: Path) -> str:
    """`optimizer.learning_rate`, `architecture.hidden[1]`; a key that is no name is quoted."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _NAME.fullmatch(key) else _quoted(key))
    return text


def flow(value: Any) -> str:
    """A plain value as YAML on one line, from which `fgspec.yaml.load` reads the same value."""
    if isinstance(value, str):
        return value if _stays_text(value) else _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _quoted(text: str) -> str:
    # JSON leaves DEL as it is; YAML refuses it.
    return json.dumps(text).replace("\x7f", "\\u007f")


def _stays_text(value: str) -> bool:
    if not _PLAIN.fullmatch(value) or value != value.strip():
        return False
    try:
        return scalar(value) == value
    except YamlError:
        return False


def shown(value: Any) -> str:
    """A value as it stands in a spec, shortened to a few words."""
    text = flow(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


def closest(name: Any, known: Iterable[str]) -> str | None:
    """The known name that `name` is probably a misspelling or another word of, if any."""
    spelled = {_folded(other): other for other in known}
    found = [word for word in synonyms(name) if word in spelled]
    found += difflib.get_close_matches(_folded(str(name)), spelled, n=1, cutoff=0.6)
    return spelled[found[0]] if found else None


def synonyms(name: Any) -> tuple[str, ...]:
    """What the language may call a thing that others call `name`."""
    return SYNONYMS.get(_folded(str(name)), ())


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def nearest(name: Any, known: Iterable[str]) -> str:
    """`did you mean x?` when a known name is close, otherwise the list of the known."""
    known = list(known)
    close = closest(name, known)
    return f"did you mean {close}?" if close else f"known: {', '.join(known)}"


def _place(origins: Mapping[Path, Origin], problem: Problem, file: str) -> Mark | str:
    """That of the value or its key; else of the section around it; else of another that counts."""
    parents = (problem.path[:end] for end in range(len(problem.path) - 1, 0, -1))
    around = next((path for path in parents if path in origins), ())
    other = next((path for path in problem.others if path in origins), ())
    exact = problem.path in origins
    origin = origins.get(problem.path if exact else around or other, Origin("file"))
    if origin.kind in ("--set", "--track") or (origin.kind == "rule" and origin.key is None):
        return origin.place
    by_key = problem.at_key or (around and not exact)
    return (None if by_key else origin.value) or origin.key or Mark(file, 1, 1)


def _value(value: Any, origin: Origin | None) -> str:
    if origin is None or origin.kind == "default":
        return f"is {shown(value)} by default"
    return f"is {shown(value)} by rule {origin.rule}" if origin.rule else f"got {shown(value)}"


def _other(path: Path, value: Any, origin: Origin | None) -> str:
    if origin is None or origin.kind == "default":
        reason = "by default"
    else:
        reason = f"at {origin.value}" if origin.kind == "file" else f"by {origin}"
    return f"{dotted(path)} is {shown(value)} {reason}"


def render(
    problems: Iterable[Problem],
    tree: Any,
    origins: Mapping[Path, Origin],
    file: str,
    defaults: Any = None,
) -> SpecError:
    """The error that tells all `problems` of a spec in the order of their places.

    Args:
        problems: what is wrong.
        tree: the plain values that `path` leads into, as given.
        origins: where each value of `tree` comes from.
        file: named where nothing better is known.
        defaults: the plain values of fields that `tree` lacks, as far as they are known.
    """

    def value_at(path: Path) -> Any:
        value = lookup(tree, path)
        return lookup(defaults, path) if value is MISSING else value

    rows: list[tuple[tuple[int, str, int, int], str]] = []
    for problem in problems:
        place, value = _place(origins, problem, file), value_at(problem.path)
        told = problem.shows and value is not MISSING
        extra = [_value(value, origins.get(problem.path))] if told else []
        # The path of another value may lead through a section that the spec leaves out.
        others = [(path, value_at(path)) for path in problem.others]
        extra += [
            _other(path, other, origins.get(path)) for path, other in others if other is not MISSING
        ]
        detail = f" ({'; '.join(extra)})" if extra else ""
        label = f"{dotted(problem.path)}: " if problem.path else ""
        key = (1, "", 0, 0) if isinstance(place, str) else (0, place.file, place.line, place.column)
        rows.append((key, f"{place}: {label}{problem.message}{detail}"))
    return SpecError([line for _, line in sorted(dict.fromkeys(rows))])
