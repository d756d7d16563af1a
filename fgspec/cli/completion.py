"""Shell completion after `--set`: the fields of the language and the values of a choice."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from fgspec.spec.experiment import SpecFile
from fgspec.spec.language import Model, choices_of, models_of


def fields(incomplete: str) -> list[str]:
    """Every `path=` that begins with `incomplete`, or every `path=value` once the path is typed."""
    path, equals, begun = incomplete.partition("=")
    found = dict(_fields([SpecFile], "", path))
    if not equals:
        return [f"{one}=" for one in found if one.startswith(path)]
    values = _values(found[path]) if path in found else ()
    return [f"{path}={value}" for value in dict.fromkeys(values) if value.startswith(begun)]


def _fields(
    models: Sequence[Model], before: str, wanted: str
) -> Iterator[tuple[str, list[FieldInfo]]]:
    """The fields in `models` and below whose path may begin with `wanted`, by path."""
    own: dict[str, list[FieldInfo]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            own.setdefault(before + name, []).append(field)
    for path, found in own.items():
        if path.startswith(wanted) or wanted.startswith(path):
            yield path, found
            yield from _fields(models_of(found, None), f"{path}.", wanted)


def _values(found: Sequence[FieldInfo]) -> Iterator[str]:
    for field in found:
        for choice in choices_of(field):
            yield from choice.names()
        yield from _words(field.annotation)


def _words(annotation: object) -> Iterator[str]:
    if annotation is bool:
        yield from ("true", "false")
    if get_origin(annotation) is Literal:
        yield from (part for part in get_args(annotation) if isinstance(part, str))
    for part in get_args(annotation):
        yield from _words(part)
