"""The language as a list of groups, each with the fields that are described in it.

A group is a section, the fields that several methods of a table share, or one method. All of it is
read from the classes of the language, so that methods of installed packages are there too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from fgspec.spec.base import Like, Section, Values
from fgspec.spec.experiment import SpecFile
from fgspec.spec.kinds import TABLES, Kind, OneOf
from fgspec.spec.language import choices_of, sections_of
from fgspec.spec.sweep import SweepFile
from fgspec.yaml.load import Path

ANY = "FIELD"
"""Stands in a path for a key that the file chooses, such as the path of a field in a sweep."""

ITEM = 0
"""Stands in a path for an item of a list."""


class Method(NamedTuple):
    """A method at a place of an example.

    Attributes:
        name: that a spec calls it by.
        kind: its class.
    """

    name: str
    kind: type[Kind]


@dataclass(frozen=True, eq=False)
class Entry:
    """One field.

    Attributes:
        file: the class of the file that it stands in.
        path: of the field, from the root of the file.
        model: a class that has the field.
        info: what pydantic knows of it.
        methods: the methods that have the field, if only some of those at its place do.
        types: the method at each place on the way, with which an example can be written.
    """

    file: type[Section]
    path: Path
    model: type[Section]
    info: FieldInfo
    methods: tuple[str, ...] = ()
    types: Mapping[Path, Method] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key in YAML."""
        return str(self.path[-1])

    def values(self) -> list[Any]:
        """The fixed values that are described, as Python has them."""
        said = (part.lines for part in self.info.metadata if isinstance(part, Values))
        return [value for lines in said for value in lines]

    @property
    def choices(self) -> list[OneOf]:
        """The tables that its value comes from."""
        return choices_of(self.info)

    @property
    def like(self) -> str:
        """The path at which what it holds is described; empty if it is described here."""
        return next((part.path for part in self.info.metadata if isinstance(part, Like)), "")

    @property
    def below(self) -> Path:
        """The path of what its value holds: an item if it is a list."""
        return (*self.path, *_inside(self.info.annotation))


@dataclass(frozen=True, eq=False)
class Group:
    """What is described together.

    Attributes:
        file: the class of the file that it is about.
        path: of the value that it is about; empty for the file.
        model: the class; the base of a table for what methods share.
        methods: one for a method, several for what they share, none for a section.
        entries: the fields that are described here.
        all: every field that the value can have, also those that are described elsewhere.
        types: the method at each place on the way, and of the value.
    """

    file: type[Section]
    path: Path
    model: type[Section]
    methods: tuple[str, ...]
    entries: tuple[Entry, ...]
    all: tuple[Entry, ...]
    types: Mapping[Path, Method] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The name of the method that it is about; empty for a section, and for what is shared."""
        return self.methods[0] if len(self.methods) == 1 else ""


def _inside(annotation: Any) -> Path:
    """The keys between a field and the sections or methods that its annotation holds."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) or not _holds(annotation):
        return ()
    if origin is Annotated:  # a method counts as one, whatever its class is
        own = any(isinstance(part, OneOf) for part in parts)
        return () if own else _inside(parts[0])
    key: Path = (ITEM,) if origin is tuple else (ANY,) if origin is dict else ()
    return (*key, *next(_inside(part) for part in parts if _holds(part)))


def _holds(annotation: Any) -> bool:
    """Whether sections or methods stand somewhere in an annotation."""
    parts = get_args(annotation)
    own = isinstance(annotation, type) and issubclass(annotation, Section)
    return own or isinstance(annotation, OneOf) or any(map(_holds, parts))


@dataclass
class _Walk:
    """A walk through the language below one kind of file."""

    file: type[Section]
    seen: set[Any] = field(default_factory=set)

    def section(
        self, model: type[Section], path: Path, types: Mapping[Path, Method]
    ) -> Iterator[Group]:
        entries = tuple(
            Entry(self.file, (*path, name), model, info, types=types)
            for name, info in model.model_fields.items()
        )
        yield Group(self.file, path, model, (), entries, entries, types)
        for entry in entries:
            yield from self.below(entry)

    def below(self, entry: Entry) -> Iterator[Group]:
        """What the value of a field can hold."""
        path = entry.below
        if entry.like:
            return
        for model in sections_of(entry.info.annotation):
            if issubclass(model, Section) and self._new(path, model):
                yield from self.section(model, path, entry.types)
        for choice in entry.choices:
            if self._new(path, choice.table, choice.only):
                yield from self.methods(choice.kinds(), path, entry.types)

    def methods(
        self, kinds: Mapping[str, type[Kind]], path: Path, types: Mapping[Path, Method]
    ) -> Iterator[Group]:
        shared: dict[Any, dict[str, type[Kind]]] = {}
        for name, kind in kinds.items():
            for key, info in kind.model_fields.items():
                if key != "type":
                    same = (key, info.description, repr(info.annotation), repr(info.default))
                    shared.setdefault(same, {})[name] = kind
        entries: list[Entry] = []
        for (key, *_), having in shared.items():
            first, names = next(iter(having)), tuple(having)
            some = names if names != tuple(kinds) else ()
            chosen = {**types, path: Method(first, having[first])} if some else types
            model = having[first]
            entries.append(
                Entry(self.file, (*path, key), model, model.model_fields[key], some, chosen)
            )
        base = next(iter(kinds.values())).base()
        for names in dict.fromkeys(entry.methods or tuple(kinds) for entry in entries):
            if len(names) > 1:
                own = tuple(e for e in entries if (e.methods or tuple(kinds)) == names)
                yield Group(self.file, path, base, names, own, own, types)
        for name, kind in kinds.items():
            having = tuple(e for e in entries if name in (e.methods or (name,)))
            own = tuple(e for e in having if (e.methods or tuple(kinds)) == (name,))
            yield Group(
                self.file, path, kind, (name,), own, having, {**types, path: Method(name, kind)}
            )
        for entry in entries:
            yield from self.below(entry)

    def _new(self, *key: Any) -> bool:
        fresh = key not in self.seen
        self.seen.add(key)
        return fresh


def language() -> tuple[Group, ...]:
    """All groups of specs, then those of sweep files; all packages are imported."""
    return _language(tuple(table.names() for table in TABLES.values()))


@lru_cache(maxsize=1)
def _language(installed: tuple[tuple[str, ...], ...]) -> tuple[Group, ...]:
    return tuple(
        group for file in (SpecFile, SweepFile) for group in _Walk(file).section(file, (), {})
    )


def entries_of(groups: Sequence[Group]) -> Iterator[Entry]:
    """Every field that is described in these groups."""
    for group in groups:
        yield from group.entries
