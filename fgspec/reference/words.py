"""What is said of a field and of a method, in plain values that pages and terminals print."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from fgspec.formulas.tree import Equation
from fgspec.problems.problems import dotted, flow
from fgspec.reference.entries import Entry, Group
from fgspec.reference.examples import all_examples, needed, readers, setters
from fgspec.spec.base import Resume, Section, Unit, Values
from fgspec.spec.kinds import Kind, OneOf
from fgspec.spec.language import sections_of
from fgspec.spec.rules import Rule
from fgspec.yaml.load import Path

RESUMED: Mapping[str, str] = {
    Resume.FIXED: "must stay as it was",
    Resume.FORKS: "may change with --fork, which makes a new run",
    Resume.MAY_CHANGE: "may change",
}
"""What becomes of a run that is resumed with another value of a field."""

_PLAIN = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    Any: "any value",
}


UNCHANGED = "its fields at their defaults"
"""Said of a section that is as it is by default."""


class Line(NamedTuple):
    """A value that a field can have, and what it means.

    Attributes:
        value: as YAML has it.
        about: what it means, in a sentence or two.
        method: the group that says more; empty for a fixed value.
    """

    value: str
    about: str
    method: bool = False


def formulas(group: Group) -> tuple[Equation, ...]:
    """The equations of a method, with its fields at their defaults; none if it gives none."""
    # Most kinds have none, and need not be made to know it.
    if not group.method or group.model.formulas is Kind.formulas:
        return ()
    made = group.model.model_validate({"type": group.method, **needed(group.model, more=False)})
    return tuple(made.formulas())


def place(path: Path) -> str:
    """A path as it is typed, without the numbers of items."""
    return dotted(tuple(key for key in path if isinstance(key, str)))


def kind_of_value(info: FieldInfo) -> str:
    """What values a field takes, in words, such as `whole number >= 1, or null`."""
    return _takes(info.annotation, [part for part in info.metadata if part is not None])


def _takes(annotation: Any, limits: list[Any]) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    choices = [part for part in limits if isinstance(part, OneOf)]
    if choices:
        return _article(choices[0].table.what)
    if origin is Annotated:
        return _takes(parts[0], [*_limits(parts[1:]), *limits])
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section"
    if origin is Literal:
        return ("one of " if len(parts) > 1 else "") + ", ".join(map(flow, parts))
    if origin is tuple:
        return _list(parts, limits)
    if origin is dict:
        return f"mapping of {_takes(parts[0], [])} to {_takes(parts[1], [])}"
    if parts:
        words = dict.fromkeys(_takes(part, limits) for part in parts if part is not type(None))
        null = ["null"] if type(None) in parts else []
        return ", or ".join([*words, *null])
    return _PLAIN.get(annotation, "any value") + _bounds(limits)


def _limits(parts: Any) -> Iterator[Any]:
    """What narrows a value, out of the parts of an annotation."""
    for part in parts:
        yield from part.metadata if isinstance(part, FieldInfo) else (part,)


def _list(parts: tuple[Any, ...], limits: list[Any]) -> str:
    if len(parts) == 2 and parts[1] is Ellipsis:
        few = any(isinstance(part, MinLen) for part in limits)
        return f"list{', not empty,' if few else ''} of: {_takes(parts[0], [])}"
    return f"list of {len(parts)}: {_takes(parts[0], [])} each"


def _bounds(limits: list[Any]) -> str:
    found: list[str] = []
    for limit in limits:
        if isinstance(limit, Gt | Ge):
            found.append(f"> {limit.gt:g}" if isinstance(limit, Gt) else f">= {limit.ge:g}")
        elif isinstance(limit, Le):
            found.append(f"<= {limit.le:g}")
        elif isinstance(limit, Lt) and limit.lt < _LARGEST:
            found.append(f"< {limit.lt:g}")
    return " " + " and ".join(found) if found else ""


_LARGEST = 2**31
"""Bounds from here on are those of the machine's numbers, and of no interest."""


def _article(what: str) -> str:
    plural = what.endswith("s") and not what.endswith("ss")
    return what if plural else f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def default(info: FieldInfo) -> str | None:
    """The default of a field as YAML; None if it is required."""
    if info.is_required():
        return None
    value = info.get_default(call_default_factory=True)
    shown = _plain(value)
    whole = isinstance(value, Section) and not shown
    return UNCHANGED if whole else flow(shown)


def _plain(value: Any) -> Any:
    """A default as plain values, without fields that are as they are anyway."""
    if isinstance(value, Section):
        method, fields = isinstance(value, Kind), type(value).model_fields
        given = {n: getattr(value, n) for n in fields if n != "type" or not method}
        told = {n: _plain(own) for n, own in given.items() if own != fields[n].default}
        return told if not method else {"type": str(value), **told} if told else str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def unit(info: FieldInfo) -> str:
    """The unit of a field, or nothing."""
    return next((part.name for part in info.metadata if isinstance(part, Unit)), "")


def lines(entry: Entry) -> list[Line]:
    """The values that a field offers, each with what it means."""
    found = [
        Line(name, " ".join(kind.about()[:1]), method=True)
        for choice in entry.choices
        for name, kind in choice.kinds().items()
    ]
    said = (part.lines for part in entry.info.metadata if isinstance(part, Values))
    found += [Line(flow(value), about) for part in said for value, about in part.items()]
    return found


def facts(entry: Entry) -> list[tuple[str, str]]:
    """The type, unit, default and so on of a field, each with its name."""
    given = default(entry.info)
    found = [("type", kind_of_value(entry.info))]
    if own := unit(entry.info):
        found.append(("unit", own))
    if given is None:
        found.append(("required", _required(entry)))
    else:
        found.append(("default", given))
    resumed = entry.model.field_on_resume(entry.name)
    if resumed is not None:
        found.append(("on resume", RESUMED[resumed]))
    return found


def _required(entry: Entry) -> str:
    alone = len(entry.path) == 1 and "extends" in entry.file.model_fields
    return "yes, here or in a spec that this one extends" if alone else "yes"


def rules(entry: Entry) -> list[tuple[str, str]]:
    """Which rules set a field; or which read it, where not all of them do."""
    if setting := setters(entry.path):
        parts = (f"{flow(value)} in {', '.join(names)}" for value, names in setting.items())
        return [("set by rules", "; ".join(parts))]
    read, unread = readers(all_examples(entry))
    if read and unread:
        return [("read under", ", ".join(read)), ("not under", ", ".join(unread))]
    return []


def rules_with(group: Group) -> str:
    """The rules that set a method, in words; empty if none does."""
    names = setters(group.path).get(group.method, ())
    return f"Rules that set it: {', '.join(names)}." if names else ""


def nested(entry: Entry) -> bool:
    """Whether the value of a field has fields that are described by themselves."""
    return bool(sections_of(entry.info.annotation) or entry.choices)


def title(group: Group) -> str:
    """What a group is about, as a heading says it."""
    if group.method:
        return f"{place(group.path)}: {group.method}"
    return place(group.path) or "the file"


def first_sentence(text: str) -> str:
    """The first sentence; the full stop of `et al.` ends none."""
    return re.split(r"(?<!al)\. (?=[A-Z`]|\w+: )", text)[0].rstrip(".") + "."


def settings_of(model: type[Section]) -> Mapping[str, Any]:
    """What a rule stands for, as a spec writes it; empty for all that is no rule."""
    return model.settings if issubclass(model, Rule) else {}
