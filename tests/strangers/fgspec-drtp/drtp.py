"""Direct random target projection (Frenkel, Lefebvre, Bol 2021)."""

from typing import ClassVar, Literal

import jax

import fgspec


class Drtp(fgspec.Estimator):
    """Random projections of the label to every layer (Frenkel et al. 2021)."""

    type: Literal["drtp"] = "drtp"
    isolates_layers: ClassVar[bool] = True
    bias: ClassVar[str] = "the label goes to every layer through a fixed random matrix"

    def backward_weights(self, plan):
        return plan.to_every_layer()

    def gradient(self, plan, segment, params, x, context):
        trace = fgspec.forward(segment.blocks, params, x)
        label = jax.nn.one_hot(context.labels, plan.outputs)
        return fgspec.sent_to_layers(segment, params, trace, -label, context.feedback)


class DrtpRule(fgspec.Rule):
    """Direct random target projection."""

    type: Literal["drtp"] = "drtp"
    title: ClassVar[str] = "direct random target projection"
    settings: ClassVar = {
        "losses": {"local": None, "isolate": "layer"},
        "gradient": {"target": "global", "estimator": {"type": "drtp"}, "perturbation": None},
    }
