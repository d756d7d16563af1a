"""Softmax cross entropy with smoothed class labels (Szegedy et al. 2016)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.objectives.cross_entropy import CrossEntropy
from fgspec.spec import label_smoothing


class LabelSmoothing(label_smoothing.LabelSmoothing, CrossEntropy):
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
