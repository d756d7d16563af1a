"""`rule:` the published rules as points of the product losses x gradient.

Ren et al. 2022, and Bacho and Chu 2022 (fdfa).
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from fgspec.diagnostics import MISSING, Origin, Problem, nearest, shown
from fgspec.yaml12 import Path

RuleName = Literal[
    "bp",
    "l-bp",
    "lg-bp",
    "fa",
    "l-fa",
    "lg-fa",
    "dfa",
    "fdfa",
    "fg-w",
    "fg-a",
    "lg-fg-w",
    "lg-fg-a",
]

_FINAL = {"local": None, "isolate": "none"}
_LOCAL = {"local": {}, "isolate": "none"}
_GREEDY = _LOCAL | {"isolate": "block"}


def _reverse(target: str, estimator: str) -> dict[str, Any]:
    return {"target": target, "estimator": {"type": estimator}, "perturbation": None}


def _forward(target: str, space: str) -> dict[str, Any]:
    return {
        "target": target,
        "estimator": {"type": "forward"},
        "perturbation": {"space": space},
    }


RULES: dict[str, dict[str, Any]] = {
    "bp": {"losses": _FINAL, "gradient": _reverse("global", "exact")},
    "l-bp": {"losses": _LOCAL, "gradient": _reverse("sum", "exact")},
    "lg-bp": {"losses": _GREEDY, "gradient": _reverse("local", "exact")},
    "fa": {"losses": _FINAL, "gradient": _reverse("global", "feedback")},
    "l-fa": {"losses": _LOCAL, "gradient": _reverse("sum", "feedback")},
    "lg-fa": {"losses": _GREEDY, "gradient": _reverse("local", "feedback")},
    "dfa": {
        "losses": _FINAL | {"isolate": "layer"},
        "gradient": _reverse("global", "direct_feedback"),
    },
    "fdfa": {
        "losses": _FINAL | {"isolate": "layer"},
        "gradient": _reverse("global", "learned_direct_feedback"),
    },
    "fg-w": {"losses": _FINAL, "gradient": _forward("global", "weight")},
    "fg-a": {"losses": _FINAL, "gradient": _forward("global", "activation")},
    "lg-fg-w": {"losses": _GREEDY, "gradient": _forward("local", "weight")},
    "lg-fg-a": {"losses": _GREEDY, "gradient": _forward("local", "activation")},
}
"""What each rule sets; whatever it does not set keeps the language's default."""


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
    if not isinstance(rule, str) or rule not in RULES:
        problem = Problem(("rule",), f"no such rule; {nearest(rule, get_args(RuleName))}")
        return tree, origins, [problem]
    source = Origin("rule", origins[("rule",)].key, None, rule)
    problems = _apply(tree, origins, RULES[rule], source, ())
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
