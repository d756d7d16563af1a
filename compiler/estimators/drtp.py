"""Direct random target projection (Frenkel, Lefebvre and Bol 2019, arXiv 1909.01311)."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate
from compiler.estimators.direct_feedback import sent_to_layers
from compiler.network.network import forward
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from fgspec.spec import drtp
from fgspec.spec.shapes import ParamSpec


class Drtp(drtp.Drtp):
    """Fixed random projections of the one-hot label stand for the errors of all layers.

    The error at a layer's output is B t / N, with the one-hot labels t [n, k] (or labels that are
    vectors), the layer's matrix B [k, p, g, c] and N rows. The derivatives of the layer's own
    activation and normalization are exact, and so is the gradient of the classifier.
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """One matrix [k, p, g, c] for every layer, by path."""
        return plan.to_every_layer()

    def gradient(
        self,
        plan: Plan,
        segment: Segment,
        params: Mapping[str, Any],
        x: Float[Array, "n p g c"],
        context: Context,
    ) -> Estimate:
        """Every layer's gradient, from the labels sent through the layer's matrix."""
        trace = forward(segment.blocks, params, x)
        labels = context.targets.final
        if labels.ndim == 1:
            labels = jax.nn.one_hot(labels, plan.outputs)
        labels = labels.astype(plan.precise)
        # The authors' code adds the layers' gradients over the batch, while its loss is a mean, so
        # that its hidden layers learn N times as fast (`function.py` of their repository). Here all
        # are means, as everywhere. `optimizer.factors: {parts: [{of: blocks, rate: N}]}` is theirs.
        return sent_to_layers(segment, params, trace, labels, context.feedback)
