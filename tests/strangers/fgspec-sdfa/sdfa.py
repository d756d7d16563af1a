"""Direct feedback of the error's sign (sDFA of Frenkel, Lefebvre, Bol 2021)."""

from typing import ClassVar, Literal

import jax.numpy as jnp

import fgspec


class Sdfa(fgspec.Estimator):
    """Random projections of the sign of the output error to every layer (Frenkel et al. 2021)."""

    type: Literal["sdfa"] = "sdfa"
    isolates_layers: ClassVar[bool] = True
    bias: ClassVar[str] = "the error's sign goes to every layer through a fixed random matrix"

    def backward_weights(self, plan):
        return plan.to_every_layer()

    def gradient(self, plan, segment, params, x, context):
        trace, final = fgspec.forward(segment.blocks, params, x), context.final
        signs = jnp.sign(final.error(final.outputs(trace.output)))
        return fgspec.sent_to_layers(segment, params, trace, signs, context.feedback)


class SdfaRule(fgspec.Rule):
    """Direct feedback of the error's sign."""

    type: Literal["sdfa"] = "sdfa"
    title: ClassVar[str] = "direct feedback of the error's sign"
    settings: ClassVar = {
        "losses": {"local": None, "isolate": "layer"},
        "gradient": {"target": "global", "estimator": {"type": "sdfa"}, "perturbation": None},
    }
