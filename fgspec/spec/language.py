"""The language as a tree: which fields and methods can stand where."""

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fgspec.errors import UserError
from fgspec.spec.kinds import Kind, OneOf, choices_in

Model = type[BaseModel]


def choices_of(field: FieldInfo) -> list[OneOf]:
    """The tables that a field chooses from."""
    own = [part for part in field.metadata if isinstance(part, OneOf)]
    return [*own, *choices_in(field.annotation)]


def sections_of(annotation: Any) -> list[Model]:
    """The sections in an annotation; methods of tables are no sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if issubclass(annotation, Kind) else [annotation]
    if any(isinstance(part, OneOf) for part in get_args(annotation)):
        return []
    parts = get_args(annotation) if get_origin(annotation) is not None else ()
    return [model for part in parts for model in sections_of(part)]


def models_of(fields: Iterable[FieldInfo], tag: Any) -> list[Model]:
    """What a mapping can be that stands at one of these fields.

    Args:
        fields: of several sections, if it is not known which one it is.
        tag: what the mapping has under `type`; no package is imported unless it is named.
    """
    found: list[Model] = []
    for field in fields:
        found += sections_of(field.annotation)
        for choice in choices_of(field):
            known = isinstance(tag, str) and tag in choice.table.names()
            found += _usable(choice, tag) if known else choice.built_in()
    return found


def _usable(choice: OneOf, tag: str) -> list[Model]:
    """The class of a method, unless its package is broken; reading the field tells how."""
    try:
        return [choice.table.kind(tag)]
    except UserError:
        return []


def fields_named(models: Iterable[Model], name: str) -> list[FieldInfo]:
    """The fields of this name."""
    found = (model.model_fields.get(name) for model in models)
    return [field for field in found if field is not None]


def takes_a_name(field: FieldInfo) -> bool:
    """Whether text at a field stands for a mapping with that `type`, whose options can merge."""
    sections = sections_of(field.annotation)
    typed = bool(sections) and all("type" in section.model_fields for section in sections)
    return typed or any(not (choice.named or choice.bare) for choice in choices_of(field))
