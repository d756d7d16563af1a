"""The goodness of Forward-Forward (Hinton 2022): see `docs/losses.md`."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fgspec.spec import forward_forward
from fgspec.spec.augmentations import Draw
from fgspec.spec.dataset_info import DatasetInfo


def _written(
    images: Float[Array, "n h w c"], codes: Float[Array, "_ k"]
) -> Float[Array, "n h w c"]:
    """Images whose first k pixels, row by row, are the code in all colours."""
    n, height, width, colours = images.shape
    pixels = images.reshape(n, height * width, colours)
    shape = (n, codes.shape[-1], colours)
    written = jnp.broadcast_to(codes[:, :, None].astype(images.dtype), shape)
    return jnp.concatenate([written, pixels[:, shape[1] :]], 1).reshape(images.shape)


class ForwardForward(forward_forward.ForwardForward):
    """The goodness of Forward-Forward, with labels in the first pixels."""

    def prepared(
        self,
        images: Float[Array, "n h w c"],
        labels: Int[Array, " n"],
        data: DatasetInfo,
        draw: Draw,
    ) -> tuple[Float[Array, "m h w c"], Int[Array, " m"]]:
        """The images with their labels, then with wrong ones; targets are 1, then 0.

        All wrong labels are equally likely.
        """
        others = data.classes - 1
        # A number just below 1 may be rounded up to 1 by the product.
        turn = jnp.minimum(jnp.floor(draw("wrong_label", ()) * others), others - 1)
        wrong = (labels + 1 + turn.astype(labels.dtype)) % data.classes
        rows = [self.labelled(images, label, data) for label in (labels, wrong)]
        targets = [jnp.ones_like(labels), jnp.zeros_like(labels)]
        return jnp.concatenate(rows), jnp.concatenate(targets)

    def neutral(
        self, images: Float[Array, "n h w c"], data: DatasetInfo
    ) -> Float[Array, "n h w c"]:
        """Images whose first pixels are all one over the number of classes."""
        return _written(images, jnp.full((1, data.classes), 1 / data.classes, images.dtype))

    def labelled(
        self, images: Float[Array, "n h w c"], labels: Int[Array, " n"], data: DatasetInfo
    ) -> Float[Array, "n h w c"]:
        """Images whose first pixels are 0, but 1 at the place of their label."""
        return _written(images, jax.nn.one_hot(labels, data.classes, dtype=images.dtype))

    def goodness_of(self, outputs: Float[Array, "n ..."]) -> Float[Array, " n"]:
        """The sum, or mean, of the squares of a block's activations, for every row."""
        squares = jnp.square(outputs).reshape(outputs.shape[0], -1)
        return squares.sum(1) if self.goodness == "sum" else squares.mean(1)

    def value(
        self,
        outputs: Float[Array, "n ..."],
        targets: Int[Array, " n"],
        others: Float[Array, "n ..."] | None = None,
    ) -> Float[Array, " n"]:
        """softplus(threshold - G) where the target is positive, else softplus(G - threshold).

        `others` is not used, as no row depends on another.
        """
        beyond = self.goodness_of(outputs) - self.threshold
        return jax.nn.softplus(jnp.where(targets > 0, -beyond, beyond))

    def quantities(
        self, outputs: Float[Array, "n ..."], targets: Int[Array, " n"]
    ) -> Mapping[Any, tuple[Array, str]]:
        """All activations of a row, and 1 for a positive row, -1 for a negative one."""
        signs = jnp.where(targets > 0, 1, -1)
        return {"h": (outputs.reshape(len(outputs), -1), "nc"), "sign of row": (signs, "n")}

    def metrics(
        self, outputs: Float[Array, "n ..."], targets: Int[Array, " n"]
    ) -> Mapping[str, Array]:
        """No metrics: the outputs are activations, not class scores."""
        return {}
