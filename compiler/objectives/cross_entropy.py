"""Softmax cross entropy with class labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fgspec.spec import objectives


class CrossEntropy(objectives.CrossEntropy):
    """The section with what it computes."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """In nats; no row depends on `others`."""
        log_p = jax.nn.log_softmax(outputs)
        return -jnp.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> dict[str, Bool[Array, " n"]]:
        """Whether the most likely class is the label, and whether it is not."""
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs: Float[Array, "n k"]) -> Int[Array, " n"]:
        """The most likely class."""
        return outputs.argmax(-1)

    def probabilities(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """Their softmax."""
        return jax.nn.softmax(outputs)
