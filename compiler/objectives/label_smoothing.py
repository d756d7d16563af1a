"""Softmax cross entropy with smoothed class labels (Szegedy et al. 2016)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.objectives.largest_output import LargestOutput
from fgspec.spec import label_smoothing


class LabelSmoothing(LargestOutput, label_smoothing.LabelSmoothing):
    """Cross entropy with smoothed labels."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The loss of every row, in nats; `others` is not used, as no row depends on another."""
        log_p = jax.nn.log_softmax(outputs)
        right = jnp.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]
        return -(1 - self.smoothing) * right - self.smoothing * log_p.mean(-1)

    def probabilities(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The softmax of the outputs."""
        return jax.nn.softmax(outputs)
