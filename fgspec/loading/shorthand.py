"""Methods that are written as their name alone: `augment: byol` is `augment: {type: byol}`.

Names are spelled out where a file is read, before `extends` and `--set` merge, so that both act on
the options of a method however it was written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fgspec.problems.problems import Origin, are_items
from fgspec.spec.experiment import SpecFile
from fgspec.spec.language import Model, fields_named, models_of, takes_a_name
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
