"""What a user means by a field, a section, a value or the name of a method."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fgspec.errors import UserError
from fgspec.problems.problems import closest
from fgspec.reference.entries import Entry, Group, entries_of, language
from fgspec.reference.words import Line, lines, place

_ITEMS = re.compile(r"\[\d*\]|\.\d+(?=\.|$)")
"""How a path names items of lists, which are alike."""


@dataclass(frozen=True)
class Value:
    """A fixed value of a field."""

    entry: Entry
    line: Line


Found = Entry | Group | Value


def found(asked: str) -> list[Found]:
    """What a user asks for: one thing, or all that has the same path.

    Args:
        asked: a path, such as `optimizer.learning_rate`; its end, such as `learning_rate`; a path
            and a value, such as `gradient.perturbation.guess=sphere`; or the name of a method or a
            rule, such as `lg-fg-a`.

    Raises:
        UserError: there is no such thing, or several; it names the nearest, or all of them.
    """
    path, equals, value = asked.strip().partition("=")
    path = _ITEMS.sub("", path.strip())
    entries = _at(path)
    if equals:
        return _values(asked, entries or _ending_in(path), value.strip())
    if entries:
        return list(entries)
    methods = _methods(path) if path else []
    # A rule may have the name of the estimator that it is made of; whoever asks means the whole.
    rules = [group for group in methods if group.path == ("rule",)]
    whole: list[Found] = [*_ending_in(path), *(rules or _different(methods))] if path else []
    meant = dict.fromkeys(map(_typed, whole))
    if len(meant) == 1:
        return _once(whole)
    if meant:
        raise _unclear(asked, meant)
    raise UserError(f"explain: no such field, value or rule (got {asked}); {_nearest(path)}")


def _entries() -> list[Entry]:
    return list(entries_of(language()))


def _at(path: str) -> list[Entry]:
    """The fields at a path; `type` of a method is the field that it stands in."""
    for entry in _entries():
        start = f"{place(entry.path)}."
        if entry.like and path.startswith(start):
            return _at(f"{entry.like}.{path.removeprefix(start)}")
    parent = path.removesuffix(".type")
    same = [entry for entry in _entries() if place(entry.path) == path]
    return same or [e for e in _entries() if place(e.path) == parent and e.choices]


def _ending_in(path: str) -> list[Entry]:
    """The fields whose path ends so."""
    parent = path.removesuffix(".type")
    ends = (path, parent) if parent != path else (path,)
    return [e for e in _entries() if any(place(e.path).endswith(f".{end}") for end in ends)]


def _methods(name: str) -> list[Group]:
    return [group for group in language() if group.method == name]


def _different(methods: Sequence[Group]) -> list[Group]:
    """Without what a method is at other places too, such as a loss that may also be a local one."""
    own = [group for group in methods if not _refused(group)]
    first = {group.model: place(group.path) for group in reversed(own)}
    return [group for group in own if first[group.model] == place(group.path)]


def _refused(group: Group) -> bool:
    """Whether it is a loss of features inside the network, where the final loss stands."""
    only_inside = bool(getattr(group.model, "local_only", ""))
    return only_inside and place(group.path) == "losses.objective"


def _unclear(asked: str, meant: Iterable[str]) -> UserError:
    typed = " or ".join(f"fgspec explain {one}" for one in meant)
    return UserError(f"explain: {asked} has several meanings; use {typed}")


def _values(asked: str, entries: Sequence[Entry], value: str) -> list[Found]:
    if not entries:
        path = asked.partition("=")[0]
        raise UserError(f"explain: no such field (got {path}); {_nearest(path)}")
    chosen: list[Found] = [
        group
        for entry in entries
        for group in _methods(value)
        if place(group.path) == place(entry.path)
    ]
    chosen += [
        Value(entry, line)
        for entry in entries
        for line in lines(entry)
        if line.value == value and not line.method
    ]
    meant = dict.fromkeys(map(_typed, chosen))
    if len(meant) > 1:
        raise _unclear(asked, meant)
    if chosen:
        return _once(chosen)
    known = list(dict.fromkeys(line.value for entry in entries for line in lines(entry)))
    where = place(entries[0].path)
    if not known:
        raise UserError(
            f"explain: {where} has no fixed values (got {value}); use fgspec explain {where}"
        )
    close = closest(value, known)
    remedy = f"did you mean {where}={close}?" if close else f"known: {', '.join(known)}"
    raise UserError(f"explain: no such value of {where} (got {value}); {remedy}")


def _once(parts: Sequence[Found]) -> list[Found]:
    """Without methods that are there at the same path already, such as in two architectures."""
    methods = {_typed(part): part for part in reversed(parts) if isinstance(part, Group)}
    return [part for part in parts if not isinstance(part, Group) or methods[_typed(part)] is part]


def _typed(one: Found) -> str:
    """What a user can type for it."""
    if isinstance(one, Group):
        return f"{place(one.path)}={one.method}"
    if isinstance(one, Value):
        return f"{place(one.entry.path)}={one.line.value}"
    return place(one.path)


def _nearest(path: str) -> str:
    """The nearest path, by the whole or by its last name; else the sections."""
    every = dict.fromkeys(place(entry.path) for entry in _entries())
    short = {group.method: group.method for group in language()}
    short |= {one.rpartition(".")[2]: one for one in reversed(every)}
    whole = closest(path, every) if "." in path else None
    last = None if whole else closest(path.rpartition(".")[2], short)
    if whole or last:
        return f"did you mean {whole or short[last or '']}?"
    sections = [one for one in every if "." not in one]
    return f"known sections: {', '.join(sections)}"
