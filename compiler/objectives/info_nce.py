"""InfoNCE: the contrastive loss of two augmented views (van den Oord et al. 2018)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fgspec.spec import objectives


def _unit(outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
    """Rows scaled to length one; a row of zeros, as from an image without contrast, stays zero."""
    squared = jnp.square(outputs).sum(-1, keepdims=True)
    return outputs * jax.lax.rsqrt(jnp.maximum(squared, 1e-12))


class InfoNce(objectives.InfoNce):
    """InfoNCE, as in Ren et al. 2022, section 4."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The loss of each of the 2 N anchors, in nats; `targets` are not used.

        The positive of an anchor is the other view of the same example. All other rows of both
        views are negatives.
        """
        stopped = jax.lax.stop_gradient(_unit(outputs if others is None else others))
        keys = _unit(outputs) if self.keys == "free" else stopped
        logits = _unit(outputs) @ keys.T / self.temperature
        rows = jnp.arange(outputs.shape[0])
        apart = jnp.where(rows[:, None] == rows[None], -jnp.inf, logits)
        positive = (rows + outputs.shape[0] // 2) % outputs.shape[0]
        return -jnp.take_along_axis(jax.nn.log_softmax(apart), positive[:, None], axis=-1)[:, 0]

    def quantities(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> Mapping[Any, tuple[Array, str]]:
        """The outputs, which rows are two views of one image, and which are not the same row."""
        same = jnp.eye(len(outputs))
        other = jnp.roll(same, len(outputs) // 2, axis=1)
        return {"o": (outputs, "nc"), "other view": (other, "nm"), "apart": (1 - same, "nm")}

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> Mapping[str, Array]:
        """No metrics: the outputs are projections, not class scores."""
        return {}
