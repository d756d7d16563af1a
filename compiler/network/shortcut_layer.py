"""The shortcut without parameters of residual networks."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from fgspec.spec import shortcut_layer
from fgspec.spec.shapes import Extent


class Shortcut(shortcut_layer.ShortcutLayer):
    """Subsampled positions and padded channels."""

    def apply(
        self, params: Mapping[str, Float[Array, "..."]], x: Float[Array, "n p g c"], start: Extent
    ) -> Float[Array, "n q 1 d"]:
        """The kept positions; zeros follow the channels that enter.

        He et al. do not say where the zeros stand. Any other place is a permutation of channels.
        """
        image = x.reshape(x.shape[0], *start[:2], -1)[:, :: self.stride, :: self.stride]
        end = self.ends(start)
        added = end.channels - image.shape[-1]
        padded = jnp.pad(image, ((0, 0), (0, 0), (0, 0), (0, added)))
        return padded.reshape(x.shape[0], *end.features)
