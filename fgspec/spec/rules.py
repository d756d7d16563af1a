"""Rules: published learning rules as names for whole settings of losses and gradient."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table

RULES = table("rule", "rules")


class Rule(Kind):
    """A name for a setting of `losses` and `gradient`.

    Attributes:
        title: what it is, in words that can follow `trained by`.
        settings: the fields that define it, as a spec writes them; whatever it does not set keeps
            the language's default, and contradicting what it sets is an error.
    """

    table: ClassVar = RULES
    on_resume: ClassVar = Resume.FORKS
    title: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]]


LAYERS = {"local": None, "isolate": "layer"}
"""Losses of rules that send the error of the final loss to every layer by itself."""

_FINAL = {"local": None, "isolate": "none"}
_LOCAL = {"local": {}, "isolate": "none"}
_GREEDY = {"local": {}, "isolate": "block"}


def reverse(target: str, estimator: str) -> dict[str, Any]:
    """The section `gradient` of a rule that perturbs nothing by `gradient.perturbation`."""
    return {"target": target, "estimator": {"type": estimator}, "perturbation": None}


def _forward(target: str, space: str) -> dict[str, Any]:
    return {
        "target": target,
        "estimator": {"type": "forward"},
        "perturbation": {"space": space},
    }


class Backprop(Rule):
    """Backprop: the exact gradient of the final loss."""

    title: ClassVar = "backprop"
    settings: ClassVar = {"losses": _FINAL, "gradient": reverse("global", "exact")}
    type: Literal["bp"] = "bp"


class LocalBackprop(Rule):
    """Backprop of local losses. A block also receives the gradients of all later ones."""

    title: ClassVar = "backprop of local losses"
    settings: ClassVar = {"losses": _LOCAL, "gradient": reverse("sum", "exact")}
    type: Literal["l-bp"] = "l-bp"


class LocalGreedyBackprop(Rule):
    """Backprop of local losses inside isolated blocks: each learns from its own loss (greedy)."""

    title: ClassVar = "backprop of local losses, blocks isolated"
    settings: ClassVar = {"losses": _GREEDY, "gradient": reverse("local", "exact")}
    type: Literal["lg-bp"] = "lg-bp"


class FeedbackAlignment(Rule):
    """Feedback alignment: errors travel through fixed random weights (Lillicrap et al. 2016)."""

    title: ClassVar = "feedback alignment"
    settings: ClassVar = {"losses": _FINAL, "gradient": reverse("global", "feedback")}
    type: Literal["fa"] = "fa"


class LocalFeedbackAlignment(Rule):
    """Feedback alignment of local losses. A block also receives the errors of all later ones."""

    title: ClassVar = "feedback alignment of local losses"
    settings: ClassVar = {"losses": _LOCAL, "gradient": reverse("sum", "feedback")}
    type: Literal["l-fa"] = "l-fa"


class LocalGreedyFeedbackAlignment(Rule):
    """Feedback alignment of local losses inside isolated blocks (greedy)."""

    title: ClassVar = "feedback alignment of local losses, blocks isolated"
    settings: ClassVar = {"losses": _GREEDY, "gradient": reverse("local", "feedback")}
    type: Literal["lg-fa"] = "lg-fa"


class DirectFeedbackAlignment(Rule):
    """Direct feedback alignment: the output error goes straight to every layer (Nokland 2016)."""

    title: ClassVar = "direct feedback alignment"
    settings: ClassVar = {"losses": LAYERS, "gradient": reverse("global", "direct_feedback")}
    type: Literal["dfa"] = "dfa"


class ForwardDirectFeedbackAlignment(Rule):
    """Direct feedback through learned mean Jacobians of the layers (Bacho and Chu 2022)."""

    title: ClassVar = "direct feedback alignment through learned Jacobians"
    settings: ClassVar = {
        "losses": LAYERS,
        "gradient": reverse("global", "learned_direct_feedback"),
    }
    type: Literal["fdfa"] = "fdfa"


class ForwardGradientWeights(Rule):
    """Forward gradients of the final loss: weights are perturbed (Baydin et al. 2022)."""

    title: ClassVar = "forward gradients of weights"
    settings: ClassVar = {"losses": _FINAL, "gradient": _forward("global", "weight")}
    type: Literal["fg-w"] = "fg-w"


class ForwardGradientActivations(Rule):
    """Forward gradients of the final loss: activations are perturbed (Ren et al. 2022)."""

    title: ClassVar = "forward gradients of activations"
    settings: ClassVar = {"losses": _FINAL, "gradient": _forward("global", "activation")}
    type: Literal["fg-a"] = "fg-a"


class LocalGreedyForwardGradientWeights(Rule):
    """Forward gradients of local losses: weights are perturbed (Ren et al. 2022, section 4).

    Each block is isolated and learns from its own, replicated local loss.
    """

    title: ClassVar = "local greedy forward gradients of weights"
    settings: ClassVar = {"losses": _GREEDY, "gradient": _forward("local", "weight")}
    type: Literal["lg-fg-w"] = "lg-fg-w"


class LocalGreedyForwardGradientActivations(Rule):
    """Forward gradients of local losses: activations are perturbed (Ren et al. 2022, section 4).

    Each block is isolated and learns from its own, replicated local loss.
    """

    title: ClassVar = "local greedy forward gradients of activations"
    settings: ClassVar = {"losses": _GREEDY, "gradient": _forward("local", "activation")}
    type: Literal["lg-fg-a"] = "lg-fg-a"
