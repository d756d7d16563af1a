"""Methods as objects: every choice that the language offers is one class, in one table.

A class of a table has the fields that it takes in YAML, what it needs of the rest of a spec, and
what it does. Built-in ones keep what needs JAX in a second class (`behaviour`), so that checking a
spec does not wait for JAX; a package may write both in one class. Whoever needs to know something
of a method asks the object, and nobody asks which method it is.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar, cast, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from fgspec.errors import UserError
from fgspec.formulas.tree import Equation
from fgspec.problems.problems import Problem
from fgspec.spec import plugins
from fgspec.spec.base import Section, enum_descriptions
from fgspec.yaml.load import Path


@dataclass(frozen=True)
class Table:
    """One list of methods, which installed packages can add to.

    Attributes:
        what: one of its methods, as messages call it.
        group: of the entry points that name its classes.
    """

    what: str
    group: str

    def names(self) -> tuple[str, ...]:
        """Every method that is installed: the built-in ones, then those of packages, sorted.

        Raises:
            UserError: there is none, so fgspec itself is installed as it was before this table.
        """
        found = plugins.names(self.group)
        if not found:
            raise UserError(
                f"no {self.what} is registered under {self.group}: fgspec's installation is older "
                "than its source; pip install it again (in a checkout: pip install -e .)"
            )
        return found

    def kind(self, name: str) -> "type[Kind]":
        """The class of a method that is installed; its package is imported.

        Raises:
            UserError: it cannot be imported, or is no class of this table.
        """
        found = plugins.load(self.group, name, self.what)
        own = isinstance(found, type) and issubclass(found, Kind)
        own = own and getattr(found, "table", None) == self
        if own and name in names_of(found):
            return cast(type[Kind], found)
        package = plugins.owner(self.group, name)
        wrong = f"has the type {', '.join(names_of(found)) or 'of its base'}" if own else ""
        need = f'must have type: Literal["{name}"] = "{name}"'
        raise UserError(
            f"{package}: its {self.what} {name} {wrong or 'is no class of this table'}; it "
            + (need if own else f"must be a class below {self.base_name()}")
        )

    def kinds(self) -> "dict[str, type[Kind]]":
        """Every class by name; all packages are imported."""
        return {name: self.kind(name) for name in self.names()}

    def base_name(self) -> str:
        """The class that those of this table derive from, as `fgspec` exports it."""
        return f"fgspec.{''.join(part.title() for part in self.what.split())}"


def _nothing(self: "Kind", at: Path, info: Any = None) -> Iterator[Problem]:
    yield from ()


class Kind(Section):
    """One method: its fields in YAML, what it needs, what it does.

    Attributes:
        behaviour: `module:Class`, a class below this one that adds what needs JAX. None where this
            class does all itself.
        table: that it belongs to.
        decides: whether the numbers of a run depend on it; if not, it is no part of a spec's
            identity.
        needs_labels: whether it reads the label of every training example, so that it cannot train
            on examples without one.
    """

    behaviour: ClassVar[str | None] = None
    decides: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    table: ClassVar[Table]

    def __str__(self) -> str:
        """Its name, as a spec has it: the value of the field `type` of its class."""
        return self.__dict__["type"]

    @classmethod
    def of(cls, name: str, **fields: Any) -> Self:
        """An installed method of this table with what it does, such as `Layer.of("dense")`.

        Args:
            name: that a spec calls it by.
            fields: as a spec gives them.

        Raises:
            UserError: no such method is installed, or it cannot be imported.
        """
        if name not in cls.table.names():
            known = ", ".join(cls.table.names())
            raise UserError(f"no {cls.table.what} {name}; known: {known}")
        return cast(Self, working(cls.table.kind(name).model_validate(fields)))

    @classmethod
    def base(cls) -> "type[Kind]":
        """The class that all methods of its table derive from."""
        return next(above for above in cls.__mro__ if Kind in above.__bases__)

    def formulas(self) -> Iterable[Equation]:
        """What it computes, as equations, if that depends on nothing else of a spec.

        `fgspec explain` and the reference show them. By default there are none.
        """
        return ()

    def options(self) -> dict[str, Any]:
        """Its fields besides `type`, as plain values."""
        return self.model_dump(mode="json", exclude={"type"})

    def named(self) -> Any:
        """Its name alone if it has no other fields, else all of them, as plain values."""
        return {"type": str(self), **self.options()} if self.options() else str(self)

    def offered_by(self) -> Iterator[tuple[str, str]]:
        """The entry points that it comes from: each one's group and name.

        The packages that they belong to, and their versions, are part of a spec's identity.
        """
        yield self.table.group, str(self)

    problems: ClassVar[Callable[..., Iterator[Problem]]] = _nothing
    """What of the rest of a spec does not fit this method: problems(self, at, ...).

    `at` is the path of this method in the spec. A method that reads sections of the spec names them
    as further parameters, such as `data` or `losses`; it is asked when all of them are valid.
    """

    data_problems: ClassVar[Callable[..., Iterator[Problem]]] = _nothing
    """What of the data set does not fit this method: data_problems(self, at, info, ...).

    `info` is the data set's `DatasetInfo`; all else is as for `problems`.
    """

    def lacks(self, method: str) -> UserError:
        """The error of a method that its class should have and has not."""
        return UserError(
            f"the {self.table.what} {self} has no {method}(); add it to "
            f"{type(self).__module__}.{type(self).__name__}"
        )


TABLES: dict[str, Table] = {}
"""All tables by the group of their entry points."""


def table(what: str, group: str) -> Table:
    """A new table.

    Args:
        what: one of its methods, in words, such as `objective`.
        group: the last part of its group of entry points, such as `objectives`.
    """
    made = Table(what, f"{plugins.PREFIX}{group}")
    TABLES[made.group] = made
    return made


def names_of(kind: type[Kind]) -> tuple[str, ...]:
    """The values that the field `type` of a class can have."""
    field = kind.model_fields.get("type")
    parts = get_args(field.annotation) if field is not None else ()
    return tuple(name for part in parts for name in _words(part))


def _words(part: Any) -> tuple[str, ...]:
    return (part,) if isinstance(part, str) else get_args(part)


K = TypeVar("K", bound=Kind)


def working(kind: K) -> K:
    """A method with what it does: the same fields under the class that `behaviour` names.

    Raises:
        UserError: that class cannot be imported.
    """
    return _working(cast(Any, kind))


@lru_cache(maxsize=4096)
def _working(kind: Any) -> Any:
    if kind.behaviour is None:
        return kind
    try:
        full = plugins.named(kind.behaviour)
    except plugins.RAISED as error:
        why = plugins.reason_of(error)
        raise UserError(
            f"the {kind.table.what} {kind}: {kind.behaviour} cannot be imported: {why}"
        ) from error
    return full.model_construct(**{name: getattr(kind, name) for name in type(kind).model_fields})


def working_class(kind: type[K]) -> type[K]:
    """The class that does what the methods of a kind do: that which `behaviour` names, or itself.

    Raises:
        UserError: it cannot be imported.
    """
    if kind.behaviour is None:
        return kind
    try:
        return plugins.named(kind.behaviour)
    except plugins.RAISED as error:
        raise UserError(
            f"{kind.behaviour} cannot be imported: {plugins.reason_of(error)}"
        ) from error


@dataclass(frozen=True)
class OneOf:
    """Marks a field whose value is a method of a table.

    In YAML it is a mapping with `type:` and the method's fields, or its name alone.

    Attributes:
        table: of the method.
        named: whether a method without fields is shown as its name alone.
        default: the type of a mapping that says none.
        only: the attribute that a method must have to stand here; any if empty.
        bare: whether a method is always shown as its name alone, its options left out.
    """

    table: Table
    named: bool = False
    default: str | None = None
    only: str = ""
    bare: bool = False

    def names(self) -> tuple[str, ...]:
        """The methods that can stand here; one that cannot be imported can not."""
        return tuple(name for name in self.table.names() if not self.only or self._fits(name))

    def _fits(self, name: str) -> bool:
        try:
            return self.offers(name)
        except UserError:
            return False

    def offers(self, name: str) -> bool:
        """Whether a method can stand here; no other than its own package is imported."""
        known = name in self.table.names()
        return known and (not self.only or bool(getattr(self.table.kind(name), self.only)))

    def kinds(self) -> dict[str, type[Kind]]:
        """Their classes; all packages are imported."""
        return {name: self.table.kind(name) for name in self.names()}

    def built_in(self) -> "list[type[Kind]]":
        """The classes of fgspec itself, which are there without importing any package."""
        group = self.table.group
        own = [n for n in self.table.names() if plugins.is_built_in(group, n)]
        return [self.table.kind(name) for name in own if self.offers(name)]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """A method is looked up when a value is read, so that packages can add to the table."""
        return core_schema.with_info_plain_validator_function(
            self._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.plain, info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Any of the methods, or the name of one."""
        kinds = self.kinds()
        full = [
            dict(kind.__get_pydantic_json_schema__(kind.__pydantic_core_schema__, handler))
            for kind in kinds.values()
            if not self.bare and (not self.named or set(kind.model_fields) != {"type"})
        ]
        lines = (" ".join(kind.about()[:1]) for kind in kinds.values())
        names = {"type": "string", "enum": list(kinds), **enum_descriptions(lines)}
        return {"anyOf": [*full, names]}

    def _read(self, value: Any, info: ValidationInfo) -> Kind:
        if isinstance(value, Kind) and value.table == self.table:
            return value
        try:
            kind, given = self._chosen(value)
        except UserError as error:  # of the package that offers it
            raise PydanticCustomError("unusable", "{why}", {"why": str(error)}) from error
        # JSON has no tuples; only its reader takes lists for them in a strict model.
        if info.mode == "json":
            return kind.model_validate_json(json.dumps(given))
        return kind.model_validate(given)

    def _chosen(self, value: Any) -> tuple[type[Kind], dict[str, Any]]:
        """The class that a plain value names, and its fields."""
        if isinstance(value, str):
            if not self.offers(value):
                expected = {"expected": ", ".join(self.names())}
                raise PydanticCustomError("literal_error", "", expected)
            value = {"type": value}
        if not isinstance(value, Mapping):
            raise PydanticCustomError("model_type", "")
        name = value.get("type", self.default)
        if name is None and "type" not in value:
            raise PydanticCustomError("union_tag_not_found", "")
        if not isinstance(name, str) or not self.offers(name):
            raise PydanticCustomError("union_tag_invalid", "")
        return self.table.kind(name), {**value, "type": name}

    def plain(self, value: Kind, info: Any) -> Any:
        """A method as plain values."""
        if self.bare or (self.named and set(type(value).model_fields) == {"type"}):
            return str(value)
        return value.model_dump(mode=info.mode)


def choices_in(annotation: Any) -> Iterator[OneOf]:
    """The tables that an annotation chooses from, however deep inside."""
    if isinstance(annotation, OneOf):
        yield annotation
    for part in get_args(annotation):
        yield from choices_in(part)


def methods_in(value: Any, at: Path = ()) -> Iterator[tuple[Path, Kind]]:
    """Every method in a section, and its path."""
    if isinstance(value, Kind):
        yield at, value
    if isinstance(value, Section):
        for name in type(value).model_fields:
            yield from methods_in(getattr(value, name), (*at, name))
    elif isinstance(value, tuple):
        for index, part in enumerate(value):
            yield from methods_in(part, (*at, index))
