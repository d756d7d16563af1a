"""Running statistics of the normalizations that couple examples: moved once a step."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from compiler.network.layers import LayerTrace
from compiler.network.network import Network, every_layer
from compiler.network.norms import Moments

MOMENTUM = 0.9
"""What remains of a running statistic after a step."""

CLASSIFIER = "classifier"
Running = Mapping[str, Mapping[str, Moments]]
"""Moments by `block/layer` and place; those of the classifier under `classifier/layer`."""


def initial(network: Network) -> Running:
    """Zero means and unit variances; empty where no normalization couples examples.

    Heads have none, as nothing evaluates them.
    """
    classifier = ((f"{CLASSIFIER}/{layer.name}", layer) for layer in network.classifier.layers)
    moments = {}
    for path, layer in (*every_layer(network.blocks), *classifier):
        places = {"before": (layer.before, layer.inputs), "after": (layer.after, layer.outputs)}
        moments[path] = {
            place: Moments(jnp.zeros(norm.shape(shape)), jnp.ones(norm.shape(shape)))
            for place, (norm, shape) in places.items()
            if norm is not None and norm.running
        }
    return moments if any(moments.values()) else {}


def of_classifier(running: Running) -> dict[str, Mapping[str, Moments]]:
    """The classifier's moments by layer and place."""
    start = f"{CLASSIFIER}/"
    return {
        path.removeprefix(start): moments
        for path, moments in running.items()
        if path.startswith(start)
    }


def moved(running: Running, layers: Mapping[str, LayerTrace]) -> Running:
    """The running statistics after a step.

    Args:
        running: before it.
        layers: all of the step's one unperturbed pass, the classifier's included, by path.
    """
    # Once a step, whatever the estimator and its samples: they are the state's, not a layer's.
    batch_moments = {path: layers[path].moments for path in running}
    return jax.tree.map(
        lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, running, batch_moments
    )
