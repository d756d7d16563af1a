"""Running statistics of the normalizations that couple examples: moved once a step."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.network.layers import LayerTrace, Moments
from compiler.network.network import Network, averaged, layers_in

MOMENTUM = 0.9
"""What remains of a running statistic after a step."""

CLASSIFIER = "classifier"
Running = Mapping[str, Mapping[str, Moments]]
"""Moments by `block/layer` and place, and those of the classifier under `classifier`."""


def initial(network: Network) -> Running:
    """Zero means and unit variances; empty where no normalization couples examples."""
    width = network.blocks[-1].layers[-1].outputs
    places = {
        path: {
            "before": (layer.before, layer.inputs),
            "after": (layer.after, layer.outputs),
        }
        for path, layer in layers_in(network.blocks)
    }
    readout = (network.classifier_norm, (1, 1, width[1] * width[2]))
    found = {
        path: {
            place: Moments(jnp.zeros(norm.shape(shape)), jnp.ones(norm.shape(shape)))
            for place, (norm, shape) in own.items()
            if norm is not None and norm.running
        }
        for path, own in {**places, CLASSIFIER: {"after": readout}}.items()
    }
    return found if any(found.values()) else {}


def moved(
    running: Running,
    network: Network,
    layers: Mapping[str, LayerTrace],
    output: Float[Array, "n p g c"],
) -> Running:
    """The running statistics after a step.

    Args:
        running: before it.
        network: whose they are.
        layers: all of the step's one unperturbed pass, by `block/layer`.
        output: of the last block in that pass.
    """
    if not running:
        return running
    seen = {path: layer.moments for path, layer in layers.items()}
    norm = network.classifier_norm
    seen[CLASSIFIER] = {}
    if norm is not None and norm.running:
        seen[CLASSIFIER]["after"] = norm.moments(averaged(output))
    return jax.tree.map(lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, running, seen)
