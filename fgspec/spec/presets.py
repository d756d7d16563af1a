"""`rule:` the published rules as points of the product losses x gradient (Ren et al. 2022)."""

from typing import Any, Literal

RuleName = Literal[
    "bp", "l-bp", "lg-bp", "fa", "l-fa", "lg-fa", "dfa", "fg-w", "fg-a", "lg-fg-w", "lg-fg-a"
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
    "fg-w": {"losses": _FINAL, "gradient": _forward("global", "weight")},
    "fg-a": {"losses": _FINAL, "gradient": _forward("global", "activation")},
    "lg-fg-w": {"losses": _GREEDY, "gradient": _forward("local", "weight")},
    "lg-fg-a": {"losses": _GREEDY, "gradient": _forward("local", "activation")},
}
"""What each rule sets; whatever it does not set keeps the language's default."""
