"""Objectives: values per example from a readout's outputs; one function and one table row each.

A value that mixes no axes depends differentiably on its own row of the outputs only: whatever it
takes from other rows stands behind a stop-gradient. The fused replication of losses rests on this.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.axes import Axis
from fgspec.spec.losses import CrossEntropy, InfoNce

Value = Callable[..., Float[Array, " n"]]
"""(outputs, labels, others=) -> loss of every row; what it takes from other rows is of `others`.

By default these are the outputs themselves. Under finite differences they are the outputs at rest,
as a stop-gradient stops no difference.
"""


class Objective(NamedTuple):
    """What is minimised at every site, and what it needs.

    Attributes:
        value: the loss of every row, from a readout's outputs.
        outputs: of each readout that it trains.
        views: of each example; example i of n is row i of the first view, row n + i of the second.
        classifies: whether outputs are scores of the classes, so that the classifier is the readout
            of the final loss. Otherwise the final loss has a head of its own, and the classifier
            is trained by cross entropy on stopped features of clean images.
        pairwise: multiply-adds between the outputs of any two rows.
        mixes: the axes along which one loss depends on what belongs to others.
    """

    value: Value
    outputs: int
    views: int
    classifies: bool
    pairwise: int
    mixes: frozenset[Axis] = frozenset()


def cross_entropy(
    outputs: Float[Array, "n k"],
    labels: Int[Array, " n"],
    others: Float[Array, "n k"] | None = None,
) -> Float[Array, " n"]:
    """Softmax cross entropy in nats; no row depends on `others`."""
    del others
    log_p = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(log_p, labels[:, None], axis=-1)[:, 0]


def _unit(outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """Rows of length one; an image without any contrast may project to zero and stays there."""
    squared = jnp.square(outputs).sum(-1, keepdims=True)
    return outputs * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))


def info_nce(
    outputs: Float[Array, "n k"],
    labels: Int[Array, " n"],
    temperature: float = 0.5,
    free: bool = False,
    others: Float[Array, "n k"] | None = None,
) -> Float[Array, " n"]:
    """Contrastive loss of anchors against keys (Ren et al. 2022, section 4), in nats.

    Args:
        outputs: projections of both views in a row: 2 N rows, example i at i and at i + N.
        labels: not read; which rows are positives follows from their order.
        temperature: divides the cosine similarities.
        free: whether keys carry gradient; if so, they are of `outputs`.
        others: projections that keys are which carry none; `outputs` by default.

    Returns:
        The loss of each of the 2 N anchors. The positive of an anchor is the other view of its
        example; every other row of either view is a negative.
    """
    del labels
    stopped = jax.lax.stop_gradient(_unit(outputs if others is None else others))
    keys = _unit(outputs) if free else stopped
    logits = _unit(outputs) @ keys.T / temperature
    rows = jnp.arange(outputs.shape[0])
    apart = jnp.where(rows[:, None] == rows[None], -jnp.inf, logits)
    positive = (rows + outputs.shape[0] // 2) % outputs.shape[0]
    return -jnp.take_along_axis(jax.nn.log_softmax(apart), positive[:, None], axis=-1)[:, 0]


def _cross_entropy(spec: CrossEntropy, classes: int) -> Objective:
    return Objective(cross_entropy, classes, views=1, classifies=True, pairwise=0)


def _info_nce(spec: InfoNce, classes: int) -> Objective:
    free = spec.keys == "free"
    return Objective(
        partial(info_nce, temperature=spec.temperature, free=free),
        spec.projection,
        views=2,
        classifies=False,
        pairwise=spec.projection,
        mixes=frozenset({"batch"}) if free else frozenset(),
    )


OBJECTIVES: dict[str, Callable[[Any, int], Objective]] = {
    "cross_entropy": _cross_entropy,
    "info_nce": _info_nce,
}
"""(options, classes) -> what a spec can train on, by `losses.objective.type`."""
