"""Objectives: values per example from a readout's outputs; one function and one table row each.

A value may depend differentiably on its own row of the outputs only: whatever it takes from
other rows stands behind a stop-gradient. The fused replication of losses rests on this.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Objective = Callable[[Float[Array, "n k"], Int[Array, " n"]], Float[Array, " n"]]


def cross_entropy(outputs: Float[Array, "n k"], labels: Int[Array, " n"]) -> Float[Array, " n"]:
    """Softmax cross entropy in nats."""
    log_p = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(log_p, labels[:, None], axis=-1)[:, 0]


def info_nce(
    outputs: Float[Array, "n k"], labels: Int[Array, " n"], temperature: float = 0.5
) -> Float[Array, " n"]:
    """Contrastive loss of anchors against stopped keys (Ren et al. 2022, section 4), in nats.

    Args:
        outputs: projections of both views in a row: 2 N rows, example i at i and at i + N.
        labels: not read; which rows are positives follows from their order.
        temperature: divides the cosine similarities.

    Returns:
        The loss of each of the 2 N anchors. The positive of an anchor is the other view of its
        example; every other row of either view is a negative; keys carry no gradient.
    """
    del labels
    anchors = outputs / jnp.linalg.norm(outputs, axis=-1, keepdims=True)
    logits = anchors @ jax.lax.stop_gradient(anchors).T / temperature
    rows = jnp.arange(outputs.shape[0])
    others = jnp.where(rows[:, None] == rows[None], -jnp.inf, logits)
    positive = (rows + outputs.shape[0] // 2) % outputs.shape[0]
    return -jnp.take_along_axis(jax.nn.log_softmax(others), positive[:, None], axis=-1)[:, 0]


OBJECTIVES: dict[str, Callable[..., Any]] = {"cross_entropy": cross_entropy}
"""What a spec can train on, by `losses.objective.type`."""
