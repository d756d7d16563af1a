"""The language as a tree: which fields and methods can stand where."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fgspec.errors import UserError
from fgspec.problems.problems import lookup
from fgspec.spec.base import Resume, Section
from fgspec.spec.kinds import Kind, OneOf, choices_in
from fgspec.yaml.load import Path

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


def has_keys(fields: Iterable[FieldInfo], name: str, keys: Iterable[str]) -> bool:
    """Whether the method of this name at these fields has all of these keys."""
    return any(set(keys) <= set(model.model_fields) for model in models_of(fields, name))


def types_with(fields: Sequence[FieldInfo], keys: Iterable[str]) -> list[str]:
    """The methods that can stand at these fields and have all of these keys."""
    choices = [choice for field in fields for choice in choices_of(field)]
    names = dict.fromkeys(name for choice in choices for name in choice.names())
    return [name for name in names if has_keys(fields, name, keys)]


def default_type(fields: Iterable[FieldInfo]) -> str | None:
    """The type that a method at these fields has where nothing is said; None if they disagree."""
    found = {
        choice.default or (str(field.default) if isinstance(field.default, Kind) else None)
        for field in fields
        for choice in choices_of(field)
    }
    return found.pop() if len(found) == 1 else None


def fields_named(models: Iterable[Model], name: str) -> list[FieldInfo]:
    """The fields of this name."""
    found = (model.model_fields.get(name) for model in models)
    return [field for field in found if field is not None]


def on_resume(root: type[Section], path: Path, specs: Sequence[Mapping[str, Any]]) -> Resume:
    """What holds of the field at `path` when a run is resumed with another value of it.

    Items of lists, and what no class describes, are as the field around them.

    Args:
        root: of the language.
        path: of the field.
        specs: plain values of the specs that differ there.
    """
    models: list[Model] = [root]
    said = Resume.FIXED
    for index, key in enumerate(path):
        stated = [
            model.field_on_resume(key)
            for model in models
            if isinstance(key, str) and issubclass(model, Section) and key in model.model_fields
        ]
        if not stated:
            break
        said = Resume.strictest(one for one in stated if one is not None)
        around = [lookup(values, path[: index + 1]) for values in specs]
        fields = fields_named(models, str(key))
        tags = [value.get("type") for value in around if isinstance(value, Mapping)]
        models = [model for tag in tags for model in models_of(fields, tag)]
    return said


def takes_a_name(field: FieldInfo) -> bool:
    """Whether text at a field stands for a mapping with that `type`, whose options can merge."""
    sections = sections_of(field.annotation)
    typed = bool(sections) and all("type" in section.model_fields for section in sections)
    return typed or any(not (choice.named or choice.bare) for choice in choices_of(field))
