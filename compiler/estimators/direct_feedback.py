"""Direct feedback alignment: every layer receives the output error (Nokland 2016, 1609.01596).

The error reaches a layer through a matrix of its own. The matrices are random and fixed, or learned
during the run as averages of the layers' Jacobians.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

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

    The moving average (momentum) reduces the variance of `jacobian_samples`. The error of a step
    goes through the matrices from before that step.
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
        (segment,), block_params = plan.segments, params["blocks"]
        sampled = jacobian_samples(segment, block_params, x, context)
        keep, matrices = self.momentum, context.feedback
        new_matrices = jax.tree.map(
            lambda matrix, sample: keep * matrix + (1 - keep) * sample, matrices, sampled.jacobians
        )
        estimate = sent_to_layers(segment, block_params, sampled.trace, sampled.error, matrices)
        return Estimate({"blocks": estimate.grads}, estimate.trace, new_matrices)


class Sampled(NamedTuple):
    """One sample of the Jacobian of every layer, and the forward pass that it was made with.

    Attributes:
        trace: the forward pass, without noise.
        error: the derivative of each row's final loss with respect to its outputs.
        jacobians: the samples [k, p, g, c] by block and layer, under `w`.
    """

    trace: Trace
    error: Float[Array, "n k"]
    jacobians: Params


def jacobian_samples(segment: Segment, params: Params, x: Features, context: Context) -> Sampled:
    """Samples of what every layer's outputs do to the network's outputs, by one tangent.

    Normal noise u [n, p, g, c] moves the outputs of all layers at once, and d [n, k] is the
    derivative of the network's outputs along it. For every layer the product of d and its u,
    averaged over the batch, is an unbiased sample of its mean Jacobian: a matrix of rank one from
    each row. The noise of other layers and rows adds variance.

    Args:
        segment: the whole network.
        params: parameters by block, layer and name.
        x: the network's input.
        context: the step, whose noise is drawn for each layer under `block/layer/output`.
    """
    final = context.final
    names = {path: f"{path}/{OUTPUT}" for path, _ in layers_in(segment.blocks)}
    shapes = {
        names[path]: (x.shape[0], *layer.outputs) for path, layer in layers_in(segment.blocks)
    }
    u = context.noise(shapes, 0)

    def run(by: Mapping[str, Any]) -> tuple[Float[Array, "n k"], Trace]:
        # Noise is added after the activation: the matrices replace only what follows it.
        trace = forward(segment.blocks, params, x, taps=by)
        return final.outputs(trace.output), trace

    zeros = jax.tree.map(jnp.zeros_like, u)
    outputs, d, trace = jax.jvp(run, (zeros,), (u,), has_aux=True)
    samples = {
        f"{path}/w": jnp.einsum("nk,npgc->kpgc", d / x.shape[0], u[name])
        for path, name in names.items()
    }
    return Sampled(trace, final.error(outputs), unflatten(samples))


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
