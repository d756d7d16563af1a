"""Half the squared distance of outputs from one-hot classes or from vectors."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.objectives.largest_output import LargestOutput
from fgspec.spec import squared_error


class SquaredError(LargestOutput, squared_error.SquaredError):
    """Squared error of one-hot classes; that of the largest output is the nearest."""

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Int[Array, " n"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """Half the squared distance; `others` is not used, as no row depends on another."""
        wanted = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        return _half_square(outputs - wanted)


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
