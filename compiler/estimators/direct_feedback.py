"""Direct feedback alignment: the output error sent to every layer (Nokland 2016).

Its matrices are fixed and random, or averages of what layers do to the outputs, learned on the way.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate
from compiler.estimators.pull_back import firing, layerwise
from compiler.named_arrays.paths import flatten, unflatten
from compiler.network.block import OUTPUT
from compiler.network.network import Trace, forward, layers_in
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from fgspec.spec import estimators
from fgspec.spec.shapes import ParamSpec

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class DirectFeedback(estimators.DirectFeedback):
    """The section with what it computes.

    The matrix [k, p, g, c] of a layer stands in for everything between its activation and the
    outputs; the activation and the normalization of the layer itself are exact.
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """A matrix from the outputs to every layer."""
        return plan.to_every_layer()

    def gradient(
        self, plan: Plan, segment: Segment, params: Params, x: Features, context: Context
    ) -> Estimate:
        """What every layer learns from the output error through its matrix."""
        trace, final = forward(segment.blocks, params, x), context.final
        error = final.error(final.outputs(trace.output))
        return sent_to_layers(segment, params, trace, error, context.feedback)


class LearnedDirectFeedback(estimators.LearnedDirectFeedback):
    """Direct feedback through averages of Jacobians (Bacho and Chu 2022, arXiv 2212.07282).

    Normal noise u moves the output of every layer at once; the derivative d of the network's
    outputs along it gives each layer one sample d u of its Jacobian, averaged over the batch. The
    noise of other layers and examples adds variance and no bias, and momentum averages it away. The
    error of this step still goes through the matrices as they were.
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """A matrix from the outputs to every layer, an average that begins at zero.

        So the first step moves readouts only.
        """
        return {path: replace(spec, role="average") for path, spec in plan.to_every_layer().items()}

    def network_gradient(
        self, plan: Plan, params: Params, x: Features, context: Context
    ) -> Estimate:
        """What every layer learns, and the matrices of the next step."""
        (segment,), final, block_params = plan.segments, context.final, params["blocks"]
        paths = {f"{path}/{OUTPUT}": layer for path, layer in layers_in(segment.blocks)}
        u = context.noise({name: (x.shape[0], *layer.outputs) for name, layer in paths.items()}, 0)

        def run(by: Mapping[str, Any]) -> tuple[Float[Array, "n k"], Trace]:
            # Outputs are moved behind the activation, as the matrices stand in for what follows.
            trace = forward(segment.blocks, block_params, x, taps=by)
            return final.outputs(trace.output), trace

        zeros = jax.tree.map(jnp.zeros_like, u)
        outputs, d, trace = jax.jvp(run, (zeros,), (u,), has_aux=True)
        estimate = sent_to_layers(
            segment, block_params, trace, final.error(outputs), context.feedback
        )
        average = partial(_averaged, d=d / x.shape[0], momentum=self.momentum)
        matrices = flatten(context.feedback)
        new_matrices = {
            f"{path}/w": average(matrices[f"{path}/w"], u[f"{path}/{OUTPUT}"])
            for path in _layers(paths)
        }
        return Estimate({"blocks": estimate.grads}, estimate.trace, unflatten(new_matrices))


def _layers(names: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix(f"/{OUTPUT}") for name in names]


def _averaged(
    matrix: Float[Array, "k p g c"], u: Features, d: Float[Array, "n k"], momentum: float
) -> Float[Array, "k p g c"]:
    return momentum * matrix + (1 - momentum) * jnp.einsum("nk,npgc->kpgc", d, u)


def sent_to_layers(
    segment: Segment, params: Params, trace: Trace, error: Float[Array, "n k"], feedback: Params
) -> Estimate:
    """Every layer's gradient from an error of each example, through a matrix of its own.

    Args:
        segment: the whole network.
        params: by block, layer and name.
        trace: of the forward pass.
        error: of each row, its gradient by k outputs.
        feedback: matrices [k, p, g, c] by block and layer, under `w`.
    """
    e, matrices = error / error.shape[0], flatten(feedback)
    estimates = {}
    for path, _ in layers_in(segment.blocks):
        sent = jnp.einsum("nk,kpgc->npgc", e, matrices[f"{path}/w"])
        estimates[path] = sent * firing(path, trace)
    return Estimate(layerwise(segment, params, trace, estimates, through_norm=True), trace)
