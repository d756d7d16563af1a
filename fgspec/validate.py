"""Plain values -> a validated `Experiment`, or problems in the language of the spec."""

import json
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fgspec.diagnostics import MISSING, Problem, dotted, lookup, nearest, shown
from fgspec.spec.experiment import Experiment
from fgspec.yaml12 import Path

_EXPECTED: dict[str, str] = {
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, such as [a, b]",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be made of letters, digits, '.', '_' and '-' only",
    "none_required": "must be null",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
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


def valid_sections(tree: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Those sections of `tree` that have no problem of their own, each validated."""
    broken = {problem.path[0] for problem in problems if problem.path}
    kept = {key: value for key, value in tree.items() if key not in broken}
    required = {"fgspec": 1, "name": "unnamed", "training": {}}
    experiment, rest = validate(required | kept)
    if experiment is None:
        return {} if not rest else valid_sections(kept, rest)
    return {name: getattr(experiment, name) for name in Experiment.model_fields if name not in broken}


def _problems(errors: list[ErrorDetails], tree: Mapping[str, Any]) -> list[Problem]:
    merged: dict[Path, list[ErrorDetails]] = {}
    for error in errors:
        merged.setdefault(_strip_tags(error["loc"], tree), []).append(error)
    unknown = {path for path, found in merged.items() if found[0]["type"] == "extra_forbidden"}
    problems = []
    for path, found in merged.items():
        if found[0]["type"] == "missing" and any(
            other[:-1] == path[:-1] and nearest(str(other[-1]), [str(path[-1])]).startswith("did")
            for other in unknown
        ):
            continue  # the misspelled key says it already
        problems.append(_problem(path, found, tree))
    return problems


def _problem(path: Path, found: list[ErrorDetails], tree: Mapping[str, Any]) -> Problem:
    kind = found[0]["type"]
    context = found[0].get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1], tree)
        return Problem(path, f"unknown key; {nearest(str(path[-1]), known)}", False, at_key=True)
    if kind == "missing":
        return Problem(path, f"missing; add {dotted(path[-1:])}:", False)
    if kind == "union_tag_not_found":
        return Problem(path, f"needs a type; one of {', '.join(_tags(path, tree))}", False)
    if kind == "union_tag_invalid":
        return Problem((*path, "type"), _one_of(_tags(path, tree), context["tag"]))
    texts = dict.fromkeys(_text(error, lookup(tree, path)) for error in found)
    return Problem(path, " or ".join(texts).replace(" or must be", " or"))


def _text(error: ErrorDetails, value: Any) -> str:
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        return _one_of(str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", "), value)
    text = _EXPECTED.get(error["type"])
    if text is None:
        return error["msg"][0].lower() + error["msg"][1:]
    numbers = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    return text.format_map(numbers)


def _one_of(choices: list[str], value: Any) -> str:
    text = f"must be {choices[0]}" if len(choices) == 1 else f"must be one of {', '.join(choices)}"
    guess = nearest(shown(value), choices)
    return f"{text}; {guess}" if guess.startswith("did") else text


def _strip_tags(location: tuple[int | str, ...], tree: Any) -> Path:
    """The path in `tree`, without the tags of unions that pydantic puts between its keys."""
    path: list[int | str] = []
    for position, key in enumerate(location):
        child = lookup(tree, (key,))
        last = position == len(location) - 1
        if child is not MISSING:
            path.append(key)
            tree = child
        elif last and isinstance(tree, Mapping) and tree.get("type") != key:
            path.append(key)
    return tuple(path)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = get_args(annotation) if get_origin(annotation) is not None else ()
    return [model for part in parts for model in _models(part)]


def _models_at(path: Path, tree: Mapping[str, Any]) -> list[type[BaseModel]]:
    """The model that the value at `path` is meant to be; several when its type is not known."""
    models: list[type[BaseModel]] = [Experiment]
    here: Any = tree
    for key in path:
        fields: list[FieldInfo] = [m.model_fields[str(key)] for m in models if key in m.model_fields]
        here = lookup(here, (key,))
        models = [model for field in fields for model in _models(field.annotation)]
        tag = here.get("type", MISSING) if isinstance(here, Mapping) else MISSING
        tagged = [m for m in models if tag in _tag(m)]
        models = tagged or models
    return models


def known_keys(path: Path, type: str) -> list[str]:
    """The fields that the mapping at `path` can have when it is of `type`."""
    tree: dict[str, Any] = {"type": type}
    for key in reversed(path):
        tree = {str(key): tree}
    return _known_keys(path, tree)


def _tag(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field is not None else ()


def _tags(path: Path, tree: Mapping[str, Any]) -> list[str]:
    return [tag for model in _models_at(path, tree) for tag in _tag(model)]


def _known_keys(path: Path, tree: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys(key for model in _models_at(path, tree) for key in model.model_fields)
    return [*keys, *(("extends", "rule") if not path else ())]
