"""Direct feedback alignment: every layer receives the output error (Nokland 2016, 1609.01596).

The error reaches a layer through a matrix of its own. The matrices are random and fixed, or learned
during the run as averages of the layers' Jacobians.
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
    """Direct feedback alignment with fixed random matrices.

    The matrix [k, p, g, c] of a layer replaces the derivative of the k outputs with respect to the
    layer's output. The derivatives of the layer's own activation and normalization are exact.
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """One matrix [k, p, g, c] for every layer, by path."""
        return plan.to_every_layer()

    def gradient(
        self, plan: Plan, segment: Segment, params: Params, x: Features, context: Context
    ) -> Estimate:
        """Every layer's gradient, from the output error sent through the layer's matrix."""
        trace, final = forward(segment.blocks, params, x), context.final
        error = final.error(final.outputs(trace.output))
        return sent_to_layers(segment, params, trace, error, context.feedback)


class LearnedDirectFeedback(estimators.LearnedDirectFeedback):
    """Direct feedback through averages of Jacobians (Bacho and Chu 2022, arXiv 2212.07282).

    Normal noise u moves the outputs of all layers at once, and d is the derivative of the network's
    outputs along it. For every layer, the product of d and its u, averaged over the batch, is one
    unbiased sample of the layer's Jacobian. The noise of other layers and examples adds variance,
    which the moving average (momentum) reduces. The error of a step goes through the matrices from
    before that step.
    """

    def backward_weights(self, plan: Plan) -> dict[str, ParamSpec]:
        """One matrix [k, p, g, c] for every layer: a moving average that starts at zero.

        With matrices of zero, the first step trains only the readouts.
        """
        return {path: replace(spec, role="average") for path, spec in plan.to_every_layer().items()}

    def network_gradient(
        self, plan: Plan, params: Params, x: Features, context: Context
    ) -> Estimate:
        """Every layer's gradient, and the matrices for the next step."""
        (segment,), final, block_params = plan.segments, context.final, params["blocks"]
        paths = {f"{path}/{OUTPUT}": layer for path, layer in layers_in(segment.blocks)}
        u = context.noise({name: (x.shape[0], *layer.outputs) for name, layer in paths.items()}, 0)

        def run(by: Mapping[str, Any]) -> tuple[Float[Array, "n k"], Trace]:
            # Noise is added after the activation: the matrices replace only what follows it.
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
    """Every layer's gradient, from output errors that each layer receives through its matrix.

    Args:
        segment: the whole network.
        params: parameters by block, layer and name.
        trace: the forward pass.
        error: the derivative of each row's loss with respect to the k outputs.
        feedback: matrices [k, p, g, c] by block and layer, under `w`.
    """
    e, matrices = error / error.shape[0], flatten(feedback)
    estimates = {}
    for path, _ in layers_in(segment.blocks):
        sent = jnp.einsum("nk,kpgc->npgc", e, matrices[f"{path}/w"])
        estimates[path] = sent * firing(path, trace)
    return Estimate(layerwise(segment, params, trace, estimates, through_norm=True), trace)
