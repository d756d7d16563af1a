"""Mean squared error of outputs with the image that a network was given."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from fgspec.spec import reconstruction


class Reconstruction(reconstruction.Reconstruction):
    """Reconstruction of the image."""

    def targets(
        self, labels: Shaped[Array, "n ..."], images: Callable[[], Float[Array, "n h w c"]]
    ) -> Float[Array, "n k"]:
        """The image, flattened in the order (h, w, c)."""
        seen = images()
        return jax.lax.stop_gradient(seen.reshape(seen.shape[0], -1))

    def value(
        self,
        outputs: Float[Array, "n k"],
        targets: Float[Array, "n k"],
        others: Float[Array, "n k"] | None = None,
    ) -> Float[Array, " n"]:
        """The mean over pixels; `others` is not used, as no row depends on another."""
        return jnp.square(outputs - targets).mean(-1)

    def metrics(
        self, outputs: Float[Array, "n k"], targets: Float[Array, "n k"]
    ) -> dict[str, Float[Array, " n"]]:
        """The loss itself."""
        return {"mean_squared_error": self.value(outputs, targets)}

    def predict(self, outputs: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """The reconstruction."""
        return outputs
