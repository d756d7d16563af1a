"""Parts of the reference as lines for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from fgspec.formulas.styles import TEXT
from fgspec.loading.from_mapping import yaml_of
from fgspec.problems.problems import flow
from fgspec.reference.entries import Entry, Group, language
from fgspec.reference.examples import examples, method_example, snippet, value_example
from fgspec.reference.find import Found, Value
from fgspec.reference.words import (
    facts,
    first_sentence,
    formulas,
    lines,
    nested,
    place,
    rules,
    rules_with,
    settings_of,
)
from fgspec.spec.base import Section
from fgspec.spec.experiment import SpecFile

_INDENT = "  "


def explained(parts: Sequence[Found], width: int = 80) -> str:
    """What is to be known of fields and values.

    Args:
        parts: as `fgspec.reference.find.found` gives them.
        width: of the terminal, in letters.
    """
    return "\n\n".join("\n".join(_one(part, width)) for part in parts)


def _one(part: Found, width: int) -> Iterator[str]:
    if isinstance(part, Entry):
        yield from _entry(part, width)
    elif isinstance(part, Value):
        yield from _head(f"{place(part.entry.path)}: {part.line.value}", part.entry, width)
        yield from _text(part.line.about, width)
        yield ""
        yield from _table([("the field", part.entry.info.description or "")], width)
        values = {flow(value): value for value in part.entry.values()}
        yield from _example(value_example(part.entry, values[part.line.value]), part.entry.file)
    else:
        yield from _method(part, width)


def _entry(entry: Entry, width: int) -> Iterator[str]:
    yield from _head(place(entry.path), entry, width)
    yield from _text(entry.info.description or "", width)
    yield ""
    yield from _table([*facts(entry), *rules(entry)], width)
    if offered := lines(entry):
        yield from _titled("values", [(line.value, line.about) for line in offered], width)
    yield from _titled("fields", _fields_below(entry), width)
    tree = next(iter(examples(entry)), None)
    if tree is not None and (not nested(entry) or entry.info.examples):
        yield from _example(tree, entry.file)


def _head(title: str, entry: Entry, width: int) -> Iterable[str]:
    """A title, with the methods that the field is for, or that it is of a sweep."""
    which = [] if entry.file is SpecFile else ["in a sweep"]
    which += [f"for {', '.join(entry.methods)}"] if entry.methods else []
    whole = f"{title} ({'; '.join(which)})" if which else title
    return wrap(whole, width, subsequent_indent=_INDENT)


def _fields_below(entry: Entry) -> list[tuple[str, str]]:
    """The fields of what stands at a field, each with its first sentence; not those of methods."""
    groups = [
        group
        for group in language()
        if group.path == entry.below and group.file is entry.file and not group.method
    ]
    return [
        (below.name, first_sentence(below.info.description or ""))
        for group in groups
        for below in group.entries
        if not below.methods
    ]


def _method(group: Group, width: int) -> Iterator[str]:
    yield f"{place(group.path)}: {group.method}"
    for paragraph in group.model.about():
        yield from _text(paragraph, width)
    for equation in formulas(group):
        yield ""
        indents = {"initial_indent": _INDENT * 2, "subsequent_indent": _INDENT * 4}
        shown = equation.show(TEXT)
        yield from wrap(shown, width, break_long_words=False, break_on_hyphens=False, **indents)
        letters = f" Letters: {'; '.join(equation.letters)}." if equation.letters else ""
        yield from _text(f"{equation.says}{letters}", width)
    if named := rules_with(group):
        yield from _text(named, width)
    if told := settings_of(group.model):
        yield ""
        yield f"{_INDENT}stands for"
        yield from _code(yaml_of(told))
    rows = [(entry.name, first_sentence(entry.info.description or "")) for entry in group.all]
    yield from _titled("fields", rows, width)
    yield from _example(method_example(group), group.file)


def _example(tree: Mapping[str, Any], file: type[Section]) -> Iterator[str]:
    found = snippet(tree, file)
    if found is not None:
        yield ""
        yield f"{_INDENT}example"
        yield from _code(yaml_of(found))


def _code(text: str) -> Iterator[str]:
    return (f"{_INDENT * 2}{line}" for line in text.splitlines())


def _titled(title: str, rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    if rows:
        yield ""
        yield f"{_INDENT}{title}"
        yield from (f"{_INDENT}{row}" for row in _table(rows, width - len(_INDENT)))


def _table(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Names and texts side by side; a long name has a line of its own."""
    most = max(len(name) for name, _ in rows)
    column = min(most, width // 3)
    for name, text in rows:
        about = wrap(text, max(width - column - 2 * len(_INDENT), 20)) or [""]
        if len(name) > column:
            yield f"{_INDENT}{name}"
            name = ""
        yield f"{_INDENT}{name:<{column}}{_INDENT}{about[0]}".rstrip()
        yield from (f"{_INDENT}{'':<{column}}{_INDENT}{line}" for line in about[1:])


def _text(text: str, width: int) -> Iterable[str]:
    return wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)
