"""`rule:` the name of a published rule, and the fields that it stands for.

A rule fixes only what defines it; all else keeps the language's defaults and may stand beside it.
"""

from collections.abc import Mapping
from typing import Any, cast

from fgspec.errors import UserError
from fgspec.problems.problems import MISSING, Origin, Problem, nearest, shown
from fgspec.spec.rules import RULES, Rule
from fgspec.yaml.load import Path


def expand_rule(
    given: Mapping[str, Any], given_origins: Mapping[Path, Origin]
) -> tuple[dict[str, Any], dict[Path, Origin], list[Problem]]:
    """Put the fields of `rule:` under those given; disagreement is a problem.

    Returns:
        The tree without `rule`, where its values come from, and what is wrong.
    """
    tree, origins = dict(given), dict(given_origins)
    rule = tree.pop("rule", None)
    if rule is None:
        return tree, origins, []
    if not isinstance(rule, str) or rule not in RULES.names():
        problem = Problem(("rule",), f"no such rule; {nearest(rule, RULES.names())}")
        return tree, origins, [problem]
    source = Origin("rule", origins[("rule",)].key, None, rule)
    try:
        settings = cast(type[Rule], RULES.kind(rule)).settings
    except UserError as error:  # of the package that offers it
        return tree, origins, [Problem(("rule",), str(error), False)]
    problems = _apply(tree, origins, settings, source, ())
    return tree, origins, problems


def _apply(
    tree: dict[str, Any],
    origins: dict[Path, Origin],
    fields: Mapping[str, Any],
    source: Origin,
    at: Path,
) -> list[Problem]:
    problems: list[Problem] = []
    for key, value in fields.items():
        path = (*at, key)
        old = tree.get(key, MISSING)
        if isinstance(value, Mapping) and (old is MISSING or isinstance(old, dict)):
            origins.setdefault(path, source)
            tree[key] = {} if old is MISSING else dict(old)
            problems += _apply(tree[key], origins, value, source, path)
        elif old is MISSING:
            tree[key] = value
            origins[path] = source
        elif old != value or type(old) is not type(value):
            says = f"sets it to {shown(value)}"
            says = "needs it" if old is None else "never reads it" if value is None else says
            place = f"at {source.key}" if source.key else "by --set"
            message = f"rule {source.rule} {place} {says}; remove one of the two"
            problems.append(Problem(path, message, not isinstance(old, dict)))
    return problems
