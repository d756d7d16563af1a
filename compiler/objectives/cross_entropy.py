"""Softmax cross entropy with class labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fgspec.spec import objectives


class CrossEntropy(objectives.CrossEntropy):
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

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> dict[str, Bool[Array, " n"]]:
        """Whether the most likely class is wrong (`error`) or right (`accuracy`), for each row."""
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs: Float[Array, "n k"]) -> Int[Array, " n"]:
        """The most likely class."""
        return outputs.argmax(-1)

    def probabilities(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The softmax of the outputs."""
        return jax.nn.softmax(outputs)
