"""Methods that are written as their name alone: `augment: byol` is `augment: {type: byol}`.

Names are spelled out where a file is read, before `extends` and `--set` merge, so that both act on
the options of a method however it was written. Once all is merged, options whose type nobody told
are those of the field's default.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fgspec.problems.problems import Origin, are_items
from fgspec.spec.experiment import SpecFile
from fgspec.spec.language import (
    Model,
    default_type,
    fields_named,
    has_keys,
    models_of,
    takes_a_name,
    types_with,
)
from fgspec.yaml.load import Path


def spelled_out(
    given: Mapping[str, Any], given_origins: Mapping[Path, Origin]
) -> tuple[dict[str, Any], dict[Path, Origin]]:
    """A tree and its origins with every shorthand written as a mapping."""
    origins = dict(given_origins)
    return _mapping(given, [SpecFile], (), origins), origins


def _mapping(
    tree: Mapping[str, Any], models: Sequence[Model], at: Path, origins: dict[Path, Origin]
) -> dict[str, Any]:
    """A mapping that is one of `models`."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        fields, path = fields_named(models, key), (*at, key)
        if isinstance(value, str) and any(map(takes_a_name, fields)):
            found[key] = {"type": value}
            if path in origins:
                origins.setdefault((*path, "type"), origins[path])
        else:
            found[key] = _value(value, fields, path, origins)
    return found


def _value(value: Any, fields: Sequence[Any], at: Path, origins: dict[Path, Origin]) -> Any:
    if are_items(value):  # of a list, which are what the list is of
        return {index: _value(v, fields, (*at, index), origins) for index, v in value.items()}
    if isinstance(value, Mapping):
        return _mapping(value, models_of(fields, value.get("type")), at, origins)
    if isinstance(value, list):
        return [_value(part, fields, (*at, index), origins) for index, part in enumerate(value)]
    return value


def with_default_types(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A merged tree in which options without a `type` have that of their field's default.

    Where other types have all of them and the default has not, the type stays open.
    """
    return _typed_mapping(tree, [SpecFile])


def _typed_mapping(tree: Mapping[str, Any], models: Sequence[Model]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        fields = fields_named(models, key)
        if isinstance(value, Mapping) and "type" not in value:
            name = default_type(fields)
            if name and (has_keys(fields, name, value) or not types_with(fields, value)):
                value = {"type": name, **value}
        found[key] = _typed(value, fields)
    return found


def _typed(value: Any, fields: Sequence[Any]) -> Any:
    if isinstance(value, Mapping):
        return _typed_mapping(value, models_of(fields, value.get("type")))
    return [_typed(item, fields) for item in value] if isinstance(value, list) else value
