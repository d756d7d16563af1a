"""Fields that the language had: read at the values that change nothing, refused at others."""

from collections.abc import Mapping
from typing import Any

from fgspec.problems.problems import MISSING, Problem, lookup
from fgspec.yaml.load import Path

RETIRED: Mapping[Path, tuple[tuple[Any, ...], str]] = {
    ("compile", "samples"): (
        ("auto", "scanned"),
        "was removed from the language: samples are always computed one by one, which was never "
        "slower; remove it",
    ),
}
"""By path: the values that may stay, and what to say of others."""


def without_retired(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """A tree without retired fields, and what is wrong with those it had."""
    found, problems = dict(tree), list[Problem]()
    for path, (kept, message) in RETIRED.items():
        value = lookup(found, path)
        if value is MISSING:
            continue
        found = _removed(found, path)
        if value not in kept:
            problems.append(Problem(path, message))
    return found, problems


def _removed(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {name: value for name, value in tree.items() if name != key}
    return {**tree, str(key): _removed(tree[str(key)], tuple(rest))}
