"""FLOPs of what is applied element by element: normalizations, activations, noise.

The counts of operations an element are those that XLA reports of each part by itself; all that is
integer arithmetic, as in drawing noise, counts as it does there.
"""

from collections.abc import Iterable
from math import prod

from compiler.network.network import every_layer
from compiler.network.shapes import Layer
from compiler.plan import Plan
from fgspec.spec.gradient import DIRECT

NORM_FORWARD, NORM_DERIVATIVE = 7, 11
"""Operations of a normalization: two means, and its tangent or what sends an error through it."""

OTHER = 6
"""Bias, activation, mask, and the sums that become the bias's gradient."""

NOISE = {"rademacher": 6, "normal": 100, "sphere": 104}
"""Of a random number; one of an installed package counts as normal."""


def _norms(layer: Layer) -> int:
    """Normalized elements of a layer, of one example."""
    sizes = ((layer.before, layer.inputs), (layer.after, layer.outputs))
    return sum(prod(size) for norm, size in sizes if norm is not None)


def _forward(layers: Iterable[Layer]) -> int:
    return sum(NORM_FORWARD * _norms(layer) + OTHER * prod(layer.outputs) for layer in layers)


def elementwise_flops(plan: Plan) -> int:
    """Of normalizations and activations of the blocks, forward and differentiated, over a batch."""
    layers = [layer for _, layer in every_layer(plan.network.blocks)]
    examples, how = plan.experiment.data.batch_size, plan.perturbing
    clean = 0 if plan.objective.answers else examples * _forward(layers)
    inside = [layer for s in plan.segments for block in s.blocks for layer in block.layers]
    kind = plan.experiment.gradient.estimator.type
    derived = sum(NORM_DERIVATIVE * _norms(layer) for layer in inside)
    pulled = sum(NORM_DERIVATIVE * prod(layer.outputs) for layer in layers if layer.after)
    times = 1 if how is None or how.derivative == "reverse" else how.samples
    if kind in DIRECT:
        derived = derived + pulled if kind == "learned_direct_feedback" else pulled
    elif how is not None and how.space not in ("weight", "example_weight"):
        derived = times * derived + pulled
    else:
        derived = times * derived
    return plan.rows * (_forward(layers) + derived) + clean


def noise_flops(plan: Plan, drawn: int) -> int:
    """Of drawing and multiplying `drawn` random numbers."""
    perturbation = plan.experiment.gradient.perturbation
    if perturbation is None or perturbation.learned or plan.perturbing is None:
        return 0
    times = 2 if plan.perturbing.redrawn else 1
    return times * drawn * NOISE.get(perturbation.guess.type, NOISE["normal"])
