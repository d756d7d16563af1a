"""Half the squared distance of outputs from one-hot classes or from vectors."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fgspec.spec import squared_error


class SquaredError(squared_error.SquaredError):
    """Squared error of one-hot classes."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """Half the squared distance; `others` is not used, as no row depends on another."""
        wanted = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        return _half_square(outputs - wanted)

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Int[Array, " n"]
    ) -> dict[str, Bool[Array, " n"]]:
        """Whether the class of the largest output is wrong (`error`) or right (`accuracy`)."""
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs: Float[Array, "n k"]) -> Int[Array, " n"]:
        """The class of the largest output, whose one-hot vector is the nearest."""
        return outputs.argmax(-1)


class VectorSquaredError(squared_error.VectorSquaredError):
    """Squared error of vectors."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Float[Array, "n k"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """Half the squared distance; `others` is not used, as no row depends on another."""
        return _half_square(outputs - targets)

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Float[Array, "n k"]
    ) -> dict[str, Float[Array, " n"]]:
        """The mean over the numbers of a label."""
        return {"mean_squared_error": jnp.square(outputs - targets).mean(-1)}

    def predict(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The outputs themselves."""
        return outputs


def _half_square(difference: Float[Array, "n k"]) -> Float[Array, " n"]:
    return 0.5 * jnp.square(difference).sum(-1)
