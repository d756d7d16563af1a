"""Plain values -> a validated `Experiment`, or problems in the language of the spec."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fgspec.problems.problems import (
    MISSING,
    Problem,
    closest,
    dotted,
    lookup,
    nearest,
    shown,
    synonyms,
)
from fgspec.spec.base import Interval, Section
from fgspec.spec.experiment import Experiment, SpecFile
from fgspec.spec.language import choices_of, fields_named, models_of, sections_of, types_with
from fgspec.yaml.load import Path

Record = TypeVar("Record", bound=BaseModel)

_EXPECTED: dict[str, str] = {
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "too_short": "must list at least {min_length}",
    "too_long": "must list at most {max_length}",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must start with a letter or digit and have only letters, digits, "
    "'.', '_' and '-'",
    "none_required": "must be null",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
}


def validate(tree: Mapping[str, Any]) -> tuple[Experiment | None, list[Problem]]:
    """Check every field of `tree` at once.

    Returns:
        The experiment and no problems, or None and at least one problem.
    """
    try:
        return Experiment.model_validate_json(json.dumps(tree)), []
    except ValidationError as error:
        return None, _problems(error.errors(include_url=False), tree)


def validate_section(
    name: str, model: type[Section], tree: Mapping[str, Any]
) -> tuple[Any, list[Problem]]:
    """Check the section `name` of `tree` that is no part of an experiment.

    Returns:
        The section and no problems, or None and at least one problem; None where there is none.
    """
    if tree.get(name) is None:
        return None, []
    try:
        return model.model_validate_json(json.dumps(tree[name])), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        for one in found:
            one["loc"] = (name, *one["loc"])
        return None, _problems(found, tree)


def validate_record(
    model: type[Record], tree: Mapping[str, Any]
) -> tuple[Record | None, list[Problem]]:
    """Check a record that is no experiment, and whose sections have no types to choose from.

    Returns:
        The record and no problems, or None and at least one problem.
    """
    try:
        return model.model_validate_json(json.dumps(tree)), []
    except ValidationError as error:
        found: dict[Path, list[ErrorDetails]] = {}
        for one in error.errors(include_url=False):
            path = one["loc"]
            while path and one["type"] != "missing" and lookup(tree, path) is MISSING:
                path = path[:-1]  # the name of a union's member, or of a dictionary's key
            found.setdefault(path, []).append(one)
        return None, [
            _record_problem(model, path, own, tree)
            for path, own in found.items()
            if path not in _lists(found) or own[0]["type"] != "too_short"
        ]


def _lists(paths: Iterable[Path]) -> set[Path]:
    """Those that have a wrong item; pydantic counts it as missing as well."""
    return {path[:at] for path in paths for at, key in enumerate(path) if isinstance(key, int)}


def _record_problem(
    model: type[BaseModel], path: Path, found: list[ErrorDetails], tree: Mapping[str, Any]
) -> Problem:
    kind = found[0]["type"]
    if kind == "extra_forbidden":
        for field in (model.model_fields.get(str(key)) for key in path[:-1]):
            (model,) = (sections_of(field.annotation) if field else []) or (model,)
        message = f"unknown key; {nearest(path[-1], model.model_fields)}"
        return Problem(path, message, False, at_key=True)
    if kind == "missing":
        return Problem(path, f"missing; add {dotted(path[-1:])}:", False)
    value = lookup(tree, path)
    texts = dict.fromkeys(_text(error, value) for error in found)
    return Problem(path, " or ".join(texts).replace(" or must be", " or"))


def valid_sections(tree: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Those sections of `tree` that have no problem of their own, each validated.

    A key that is no section counts as a problem of the one that was probably meant.
    """
    broken = {problem.path[0] for problem in problems if problem.path}
    broken |= {closest(key, SpecFile.model_fields) for key in broken}
    broken |= {"losses", "gradient"} if "rule" in broken else set()
    kept = {key: value for key, value in tree.items() if key not in broken}
    stand_ins = {"fgspec": 1, "name": "unnamed", "training": {}}
    experiment, _ = validate(stand_ins | kept)
    unknown = broken | (stand_ins.keys() - kept.keys())
    names = [name for name in Experiment.model_fields if experiment and name not in unknown]
    return {name: getattr(experiment, name) for name in names}


def _problems(errors: list[ErrorDetails], tree: Mapping[str, Any]) -> list[Problem]:
    merged: dict[Path, list[ErrorDetails]] = {}
    for error in errors:
        path = _path(error, tree)
        if error["type"] == "missing" and isinstance(path[-1], int):
            merged[path[:-1]] = [error]  # the last of the missing items tells how many
        else:
            merged.setdefault(path, []).append(error)
    misspelled = {
        (*path[:-1], closest(path[-1], _known_keys(path[:-1], tree)))
        for path, found in merged.items()
        if found[0]["type"] == "extra_forbidden"
    }
    said = misspelled | _lists(merged)
    return [
        _problem(path, found, tree)
        for path, found in merged.items()
        if path not in said or found[0]["type"] not in ("missing", "too_short")
    ]


def _problem(path: Path, found: list[ErrorDetails], tree: Mapping[str, Any]) -> Problem:
    kind = found[0]["type"]
    value = lookup(tree, path)
    if kind == "extra_forbidden":
        return Problem(path, _unknown(path, tree), False, at_key=True)
    last = found[0]["loc"][-1]
    if kind == "missing" and isinstance(last, int):
        return Problem(path, f"must list at least {last + 1}")
    if kind == "missing":
        return Problem(path, f"missing; add {dotted(path[-1:])}:", False)
    if kind == "union_tag_not_found":
        return Problem(path, _untyped(path, value, tree), False)
    if kind == "unusable":
        path = (*path, "type") if isinstance(value, Mapping) else path
        return Problem(path, found[0]["msg"], False)
    if kind == "union_tag_invalid":
        path = (*path, "type")
        return Problem(path, _one_of(_tags(path[:-1], tree), lookup(tree, path)))
    texts = dict.fromkeys(_text(error, value) + _such_as(error, path, tree) for error in found)
    return Problem(path, " or ".join(texts).replace(" or must be", " or"))


def _untyped(path: Path, value: Mapping[str, Any], tree: Mapping[str, Any]) -> str:
    """What to say of a mapping that does not tell its type and cannot be of the default one."""
    able = types_with(_fields_at(path, tree), value)
    if not value or not able:
        return f"needs a type; one of {', '.join(_tags(path, tree))}"
    verb = "is" if len(value) == 1 else "are"
    return f"needs a type; {', '.join(map(str, value))} {verb} of {', '.join(able)}"


def _unknown(path: Path, tree: Mapping[str, Any]) -> str:
    """What to say of a key that does not belong where it stands."""
    *at, key = path
    known = _known_keys(tuple(at), tree)
    words = (str(key), *synonyms(key))
    homes = list(dict.fromkeys(home for word in words for home in _homes(word)))
    if homes and path not in homes and closest(key, known) is None:
        return f"unknown key; did you mean {' or '.join(map(dotted, homes))}?"
    tag = lookup(tree, (*at, "type"))
    union = tag in _tags(tuple(at), tree)
    return f"unknown key{f' of {tag}' if union else ''}; {nearest(key, known)}"


def _homes(key: str, model: type[BaseModel] = SpecFile, at: Path = ()) -> Iterator[Path]:
    """Every path that ends in `key`, wherever the language has it."""
    for name, field in model.model_fields.items():
        if name == key:
            yield (*at, name)
        built_in = [kind for choice in choices_of(field) for kind in choice.built_in()]
        for below in [*sections_of(field.annotation), *built_in]:
            yield from _homes(key, below, (*at, name))


def _text(error: ErrorDetails, value: Any) -> str:
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return _one_of(expected.split(", "), value)
    text = _EXPECTED.get(error["type"])
    if text is None:
        return error["msg"][0].lower() + error["msg"][1:]
    numbers = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    return text.format_map(numbers)


def _such_as(error: ErrorDetails, path: Path, tree: Mapping[str, Any]) -> str:
    """An example where the shape of the value is wrong and the meaning can be guessed."""
    value = lookup(tree, path)
    if isinstance(value, Mapping | list) or value is None:
        return ""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+,\d+\s*", value):
        return f"; write {value.strip().replace(',', '.')}"
    if error["type"] == "tuple_type":
        return f", such as [{shown(value)}]"
    if error["type"] == "string_type":
        return "; put it in quotes"
    wants_fields = error["type"] in ("model_type", "dict_type")
    return ", such as {epochs: 1}" if wants_fields and Interval in _models_at(path, tree) else ""


def _one_of(choices: list[str], value: Any) -> str:
    text = f"must be {choices[0]}" if len(choices) == 1 else f"must be one of {', '.join(choices)}"
    guess = closest(value, choices) if isinstance(value, str) else None
    return f"{text}; did you mean {guess}?" if guess and guess != value else text


def _path(error: ErrorDetails, tree: Mapping[str, Any]) -> Path:
    """The path in `tree`, without the names of union members that pydantic puts into it."""
    path: Path = ()
    for place, key in enumerate(error["loc"], 1):
        above = lookup(tree, path)
        absent = error["type"] == "missing" and place == len(error["loc"])
        if isinstance(key, int) or (isinstance(above, Mapping) and (key in above or absent)):
            path = (*path, key)
    return path


def _fields_at(path: Path, tree: Mapping[str, Any]) -> list[FieldInfo]:
    while path and isinstance(path[-1], int):  # an item of a list is what the list is of
        path = path[:-1]
    if not path:
        return []
    return fields_named(_models_at(path[:-1], tree), str(path[-1]))


def _models_at(path: Path, tree: Mapping[str, Any]) -> list[type[BaseModel]]:
    """The sections that the value at `path` is meant to be; several when its type is not known."""
    if not path:
        return [SpecFile]
    return models_of(_fields_at(path, tree), lookup(tree, (*path, "type")))


def known_keys(path: Path, type: str) -> list[str]:
    """The fields that the mapping at `path` can have when it is of `type`."""
    tree: dict[Any, Any] = {"type": type}
    for key in reversed(path):
        tree = {key: tree}
    return _known_keys(path, tree)


def _tags(path: Path, tree: Mapping[str, Any]) -> list[str]:
    """The methods that the value at `path` can be."""
    found = (choice for field in _fields_at(path, tree) for choice in choices_of(field))
    return [name for choice in found for name in choice.names()]


def _known_keys(path: Path, tree: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys(key for model in _models_at(path, tree) for key in model.model_fields)
    return sorted(keys, key=lambda key: key != "type")
