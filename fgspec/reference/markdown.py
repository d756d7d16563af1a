"""The reference as Markdown: a page for each section of the language, with an anchor per field."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fgspec.formulas.styles import LATEX
from fgspec.loading.from_mapping import yaml_of
from fgspec.reference.entries import Entry, Group, language
from fgspec.reference.examples import examples, method_example, snippet
from fgspec.reference.words import (
    UNCHANGED,
    default,
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
from fgspec.spec.language import sections_of

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
    found = {INDEX: _index(groups, heads)}
    for name, own in groups.items():
        found[name] = _text(_Page(own).blocks(_title(name), heads.get(name)))
    return {f"{name}.md": text for name, text in found.items()}


def _page(file: type[Section], path: tuple[Any, ...]) -> str:
    """The page that a group or an entry with fields of its own belongs to."""
    return SWEEP if file is not SpecFile else str(path[0]) if path else FILE


def _title(name: str) -> str:
    return {FILE: "The file", SWEEP: "Sweep files"}.get(name, f"`{name}`")


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
            "`fgspec explain FIELD` prints the same text in a terminal. Editors show it too, with "
            "the schema that `fgspec schema` writes.",
            "\n".join(["| page | about |", "|---|---|", *map(line, groups)]),
            "A field is named by its path: `optimizer.learning_rate` is `learning_rate` in the "
            "section `optimizer`. Where a value has a `type`, its other fields depend on it. If "
            "they stay at their defaults, the name of the type is enough: `augment: byol` means "
            "`augment: {type: byol}`.",
            "An example shows one field, and what a spec needs for it. Lay it over a spec of your "
            "own, such as the one that `fgspec init my.yaml` writes.",
            "`read under` lists the rules and estimators under which `fgspec check` accepts a spec "
            "that sets the field; under the others nothing reads it, and `check` says so.",
        ]
    )


class _Page:
    """One page."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self._anchors: dict[Entry | Group, str] = {}
        for group in groups:
            end = group.method or "fields"
            self._anchors[group] = self._unused(f"{place(group.path)}-{end}".lstrip("-"))
            for entry in group.entries:
                name = ".".join([place(entry.path), *entry.methods[:1]])
                self._anchors[entry] = self._unused(name)

    def _unused(self, name: str) -> str:
        """An anchor; what stands at one path twice is numbered."""
        taken, number = set(self._anchors.values()), 2
        numbered = name
        while numbered in taken:
            numbered, number = f"{name}-{number}", number + 1
        return numbered

    def blocks(self, title: str, head: Entry | None) -> Iterator[str]:
        """The page in paragraphs.

        Args:
            title: of the page.
            head: the field of the file that the page is about, if it is about one.
        """
        yield f"# {title}"
        if head is not None:
            yield head.info.description or ""
            yield _facts(head)
            yield from self._values(head)
        for group in self.groups:
            yield from self._group(group, head if group is self.groups[0] else None)

    def _group(self, group: Group, head: Entry | None) -> Iterator[str]:
        anchor = f"{{ #{self._anchors[group]} }}"
        if group.method:
            yield f"## `{place(group.path)}: {group.method}` {anchor}"
            yield from group.model.about()
            for equation in formulas(group):
                yield equation.says
                yield f"$$\n{equation.show(LATEX)}\n$$"
                if equation.letters:
                    yield f"{'; '.join(equation.letters)}."
            if named := rules_with(group):
                yield named
            if told := settings_of(group.model):
                yield _code(yaml_of(told), "The rule stands for")
            yield from self._summary(group)
            yield from _example(method_example(group), group.file)
        elif group.methods:
            names = ", ".join(f"`{name}`" for name in group.methods)
            every = "all types: " if not group.entries[0].methods else ""
            yield f"## Fields of `{place(group.path)}` for {every}{names} {anchor}"
        else:
            top = group is self.groups[0]
            if not top:
                yield f"## `{place(group.path)}` {anchor}"
                yield from self._where(group)
            yield from group.model.about()[1 if head is not None else 0 :]
            yield from self._summary(group)
        for entry in group.entries:
            yield from self._field(entry)

    def _where(self, group: Group) -> Iterator[str]:
        """The methods that have a section, if not all at its place do."""
        at = [e for one in self.groups for e in one.entries if e.below == group.path]
        having = [e for e in at if group.model in sections_of(e.info.annotation)]
        if names := dict.fromkeys(name for entry in having for name in entry.methods):
            yield f"For {', '.join(f'`{name}`' for name in names)}."

    def _summary(self, group: Group) -> Iterator[str]:
        """A table of the fields that a value can have."""
        rows = [
            f"| [`{entry.name}`]({self._link(entry)}) | {_default(entry)} | "
            f"{_cell(first_sentence(entry.info.description or ''))} |"
            for entry in group.all
        ]
        if rows:
            yield "\n".join(["| field | default | about |", "|---|---|---|", *rows])

    def _field(self, entry: Entry) -> Iterator[str]:
        if not _has_page(entry):
            yield f"### `{place(entry.path)}` {{ #{self._anchors[entry]} }}"
            if entry.methods:
                yield f"For {', '.join(f'`{name}`' for name in entry.methods)}."
            yield entry.info.description or ""
            yield _facts(entry)
            yield from self._values(entry)
            if not nested(entry) or entry.info.examples:
                for tree in examples(entry):
                    yield from _example(tree, entry.file)

    def _values(self, entry: Entry) -> Iterator[str]:
        rows = [
            f"- [`{line.value}`](#{self._of_value(entry, line.value)}): {line.about}"
            if line.method
            else f"- `{line.value}`: {line.about}"
            for line in lines(entry)
        ]
        if rows:
            yield "Values:"
            yield "\n".join(rows)

    def _of_value(self, entry: Entry, name: str) -> str:
        """The anchor of a method that a field offers: the nearest after it, else the first."""
        at = [g for g in self.groups if g.path == entry.below and g.method == name]
        order = list(self._anchors)
        here = order.index(entry) if entry in self._anchors else 0
        after = [group for group in at if order.index(group) > here]
        return self._anchors[(after or at)[0]]

    def _link(self, entry: Entry) -> str:
        return f"{entry.name}.md" if _has_page(entry) else f"#{self._anchors[entry]}"


def _default(entry: Entry) -> str:
    text = default(entry.info)
    if text is None or text == UNCHANGED or len(text) > _LONG:
        return "required" if text is None else ""
    return f"`{_cell(text)}`"


def _has_page(entry: Entry) -> bool:
    """Whether a field is a section that has a page of its own."""
    return entry.file is SpecFile and len(entry.path) == 1 and nested(entry)


def _facts(entry: Entry) -> str:
    told = [*facts(entry), *rules(entry)]
    return "\n".join(f"- {label}: {_marked(label, text)}" for label, text in told)


def _marked(label: str, text: str) -> str:
    return f"`{text}`" if label == "default" and text != UNCHANGED else text


def _example(tree: Any, file: type[Section]) -> Iterator[str]:
    found = snippet(tree, file)
    if found is not None:
        yield _code(yaml_of(found), "Example")


def _code(text: str, about: str) -> str:
    return f"{about}:\n\n```yaml\n{text}```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
