"""The reference as Markdown: a page for each section of the language, with an anchor per field."""

from collections.abc import Iterable, Iterator
from typing import Any

from fgspec.loading.from_mapping import yaml_of
from fgspec.reference.entries import Entry, Group, language
from fgspec.reference.examples import examples, method_example, snippet
from fgspec.reference.words import (
    UNCHANGED,
    default,
    facts,
    first_sentence,
    lines,
    nested,
    place,
    rules,
    settings_of,
)
from fgspec.spec.base import Section
from fgspec.spec.experiment import SpecFile

FILE, SWEEP, INDEX = "file", "sweep", "index"
"""The pages that are about no section: of the file's own fields, of sweeps, of all pages."""


_LONG = 30
"""Letters of a default that no longer fits in a table."""


def pages() -> dict[str, str]:
    """Every page of the reference: Markdown by the name of its file.

    Headings have anchors in the notation of attribute lists, `{ #optimizer.learning_rate }`.
    """
    groups: dict[str, list[Group]] = {FILE: []}
    for group in language():
        groups.setdefault(_page(group.file, group.path), []).append(group)
    heads = {_page(e.file, e.path): e for g in groups[FILE] for e in g.entries}
    found = {name: _text(_whole(name, own, heads.get(name))) for name, own in groups.items()}
    return {f"{name}.md": text for name, text in {INDEX: _index(groups, heads), **found}.items()}


def _page(file: type[Section], path: tuple[Any, ...]) -> str:
    """The page that a group or an entry with fields of its own belongs to."""
    return SWEEP if file is not SpecFile else str(path[0]) if path else FILE


def _text(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _index(groups: dict[str, list[Group]], heads: dict[str, Entry]) -> str:
    def line(name: str) -> str:
        about = heads[name].info.description if name in heads else groups[name][0].model.about()[0]
        return f"| [{name}]({name}.md) | {_cell(about or '')} |"

    return _text(
        [
            "# Language reference",
            "Every field and every value of a spec, made from the classes that read them. "
            "`fgspec explain FIELD` prints the same text, and editors show it "
            "(`fgspec schema`).",
            "\n".join(["| page | about |", "|---|---|", *map(line, groups)]),
            "A field is named by its path: `optimizer.learning_rate` is `learning_rate` in the "
            "section `optimizer`. Where a section has a `type`, its other fields depend on it. "
            "A type without further fields can be written as its name alone: "
            "`augment: byol` means `augment: {type: byol}`.",
        ]
    )


def _whole(name: str, groups: list[Group], head: Entry | None) -> Iterator[str]:
    yield f"# {'The file' if name == FILE else 'Sweep files' if name == SWEEP else f'`{name}`'}"
    if head is not None:
        yield head.info.description or ""
        yield _facts(head)
        yield from _values(head)
    for group in groups:
        yield from _group(group, top=group is groups[0] and not group.methods)


def _group(group: Group, top: bool) -> Iterator[str]:
    if group.method:
        yield f"## `{place(group.path)}: {group.method}` {{ #{anchor_of(group)} }}"
        yield from group.model.about()
        if told := settings_of(group.model):
            yield _code(yaml_of(told), "The rule stands for")
        yield from _summary(group)
        yield from _example(method_example(group), group.file)
    elif group.methods:
        names = ", ".join(f"`{name}`" for name in group.methods)
        whole = group.entries and not group.entries[0].methods
        which = f"all types: {names}" if whole else names
        yield f"## Fields of `{place(group.path)}` for {which}"
    else:
        if not top:
            yield f"## `{place(group.path)}` {{ #{anchor_of(group)} }}"
        yield from group.model.about()[top and group.path != () :]
        yield from _summary(group)
    for entry in group.entries:
        yield from _field(entry)


def _summary(group: Group) -> Iterator[str]:
    """A table of the fields that a value can have."""
    if not group.all:
        return
    rows = [
        f"| [`{entry.name}`]({_link(entry)}) | {_default(entry)} | "
        f"{_cell(first_sentence(entry.info.description or ''))} |"
        for entry in group.all
    ]
    yield "\n".join(["| field | default | about |", "|---|---|---|", *rows])


def _default(entry: Entry) -> str:
    text = default(entry.info)
    if text is None or text == UNCHANGED or len(text) > _LONG:
        return "required" if text is None else ""
    return f"`{_cell(text)}`"


def _field(entry: Entry) -> Iterator[str]:
    if not _has_page(entry):
        yield f"### `{place(entry.path)}` {{ #{anchor(entry)} }}"
        if entry.methods:
            yield f"For {', '.join(f'`{name}`' for name in entry.methods)}."
        yield entry.info.description or ""
        yield _facts(entry)
        yield from _values(entry)
        yield from _examples(entry)


def _has_page(entry: Entry) -> bool:
    """Whether a field is a section that has a page of its own."""
    return entry.file is SpecFile and len(entry.path) == 1 and nested(entry)


def _facts(entry: Entry) -> str:
    told = [*facts(entry), *rules(entry)]
    return "\n".join(f"- {label}: {_marked(label, text)}" for label, text in told)


def _marked(label: str, text: str) -> str:
    return f"`{text}`" if label == "default" and text != UNCHANGED else text


def _values(entry: Entry) -> Iterator[str]:
    rows = [
        f"- [`{line.value}`](#{place(entry.below)}-{line.value}): {line.about}"
        if line.method
        else f"- `{line.value}`: {line.about}"
        for line in lines(entry)
    ]
    if rows:
        yield "Values:"
        yield "\n".join(rows)


def _examples(entry: Entry) -> Iterator[str]:
    for tree in examples(entry) if not nested(entry) or entry.info.examples else ():
        yield from _example(tree, entry.file)


def _example(tree: Any, file: type[Section]) -> Iterator[str]:
    found = snippet(tree, file)
    if found is not None:
        yield _code(yaml_of(found), "Example")


def _code(text: str, about: str) -> str:
    return f"{about}:\n\n```yaml\n{text}```"


def anchor(entry: Entry) -> str:
    """The anchor of a field on its page; the first method tells fields of one path apart."""
    return ".".join([place(entry.path), *entry.methods[:1]])


def anchor_of(group: Group) -> str:
    """The anchor of a section or a method on its page."""
    return f"{place(group.path)}-{group.method or 'fields'}"


def _link(entry: Entry) -> str:
    return f"{entry.name}.md" if _has_page(entry) else f"#{anchor(entry)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
