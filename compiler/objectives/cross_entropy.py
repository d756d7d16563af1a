"""Softmax cross entropy with class labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.objectives.largest_output import LargestOutput
from fgspec.spec import objectives


class CrossEntropy(LargestOutput, objectives.CrossEntropy):
    """Softmax cross entropy with class labels."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The loss of every row, in nats; `others` is not used, as no row depends on another."""
        log_p = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]

    def probabilities(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The softmax of the outputs."""
        return jax.nn.softmax(outputs)
