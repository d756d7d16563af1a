"""Running statistics of normalizations that couple examples, updated once per step."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from compiler.network.layers import LayerTrace
from compiler.network.network import Network, every_layer
from compiler.network.norms import Moments

MOMENTUM = 0.9
"""The weight of the old value in the moving average of a step."""

CLASSIFIER = "classifier"
Running = Mapping[str, Mapping[str, Moments]]
"""Moments by `block/layer`, or `classifier/layer`, and by place (`before` or `after`)."""


def initial(network: Network) -> Running:
    """Means of zero and variances of one; empty if no normalization couples examples.

    Heads have no running statistics, because nothing evaluates heads.
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
        running: the running statistics before the step.
        layers: the traces of all layers in the unperturbed pass, with the classifier's, by path.
    """
    # They belong to the state, not to a layer, so that they move once per step, however many passes
    # the estimator makes.
    batch_moments = {path: layers[path].moments for path in running}
    return jax.tree.map(
        lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, running, batch_moments
    )
