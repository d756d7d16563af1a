"""Direct feedback alignment: the output error sent to every layer (Nokland 2016).

Its matrices are fixed and random, or averages of what layers do to the outputs, learned on the way.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.pull_back import firing, layerwise
from compiler.gradient.segment import Estimate, Noise, Segment
from compiler.network.block import OUTPUT
from compiler.network.network import Trace, forward, layers_in
from compiler.trees import flatten, unflatten

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class Final(NamedTuple):
    """What follows the last block.

    Attributes:
        outputs: of the final loss, from the features after the last block.
        error: derivative of each example's final loss by the outputs, from the outputs.
    """

    outputs: Callable[[Features], Float[Array, "n k"]]
    error: Callable[[Float[Array, "n k"]], Float[Array, "n k"]]


def direct_feedback(
    segment: Segment, params: Params, x: Features, final: Final, feedback: Params
) -> Estimate:
    """What every layer learns from the output error through a fixed random matrix of its own.

    The matrix [k, p, g, c] stands in for everything between the layer's ReLU and the outputs; the
    ReLU and the normalization of the layer itself are exact.

    Args:
        segment: the whole network.
        params: by block, layer and name.
        x: its input.
        final: what follows its last block.
        feedback: the matrices by block and layer, under `w`.
    """
    trace = forward(segment.blocks, params, x)
    return _sent(segment, params, trace, final.error(final.outputs(trace.output)), feedback)


def learned_direct_feedback(
    segment: Segment,
    params: Params,
    x: Features,
    final: Final,
    learned: tuple[Params, Noise, float],
) -> Estimate:
    """Direct feedback through averages of Jacobians (Bacho and Chu 2022, arXiv 2212.07282).

    Normal noise u moves the output of every layer at once; the derivative d of the network's
    outputs along it gives each layer one sample d u of its Jacobian, averaged over the batch. The
    noise of other layers and examples adds variance and no bias, and momentum averages it away. The
    error of this step still goes through the matrices as they were.

    Args:
        segment: the whole network.
        params: by block, layer and name.
        x: its input.
        final: what follows its last block.
        learned: the matrices by block and layer under `w`, the noise, and the momentum.
    """
    feedback, noise, momentum = learned
    paths = {f"{path}/{OUTPUT}": layer for path, layer in layers_in(segment.blocks)}
    u = noise({name: (x.shape[0], *of.outputs) for name, of in paths.items()}, 0)

    def run(by: Mapping[str, Any]) -> tuple[Float[Array, "n k"], Trace]:
        trace = forward(segment.blocks, params, x, taps=by)
        return final.outputs(trace.output), trace

    at_rest = jax.tree.map(jnp.zeros_like, u)
    outputs, d, trace = jax.jvp(run, (at_rest,), (u,), has_aux=True)
    found = _sent(segment, params, trace, final.error(outputs), feedback)
    average = partial(_averaged, d=d / x.shape[0], momentum=momentum)
    matrices = flatten(feedback)
    moved = {f"{p}/w": average(matrices[f"{p}/w"], u[f"{p}/{OUTPUT}"]) for p in _layers(paths)}
    return found._replace(feedback=unflatten(moved))


def _layers(names: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix(f"/{OUTPUT}") for name in names]


def _averaged(
    matrix: Float[Array, "k p g c"], u: Features, d: Float[Array, "n k"], momentum: float
) -> Float[Array, "k p g c"]:
    return momentum * matrix + (1 - momentum) * jnp.einsum("nk,npgc->kpgc", d, u)


def _sent(
    segment: Segment, params: Params, trace: Trace, error: Float[Array, "n k"], feedback: Params
) -> Estimate:
    """Every layer's gradient from the error of each example at the outputs."""
    e, matrices = error / error.shape[0], flatten(feedback)
    estimates = {}
    for path, _ in layers_in(segment.blocks):
        sent = jnp.einsum("nk,kpgc->npgc", e, matrices[f"{path}/w"])
        estimates[path] = sent * firing(path, trace)
    return Estimate(layerwise(segment, params, trace, estimates, through_norm=True), trace)
