"""CLAPP's hinge loss (Illing et al. 2021, arXiv 2010.08262)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.network.activations import NoActivation
from compiler.network.shapes import Layer
from fgspec.errors import UserError
from fgspec.spec import clapp
from fgspec.spec.layers import DenseLayer
from fgspec.spec.shapes import Extent

Outputs = tuple[Float[Array, "n r q c"], Float[Array, "n r q d"]]
"""The features of every patch, and for every distance what they predict, d = steps c."""


class Clapp(clapp.Clapp):
    """CLAPP's hinge loss."""

    def chains(self, place: Any, head: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], ...]:
        """The features themselves, and the products of all matrices W with them.

        Raises:
            UserError: the map has too few rows.
        """
        start: Extent = place.features
        if start.rows <= self.steps:
            raise UserError(
                f"losses.local.objective.steps: must be less than the {start.rows} rows of patches "
                f"after {place.block} (got {self.steps}); use fewer steps, or smaller patches"
            )
        kind = DenseLayer(channels=self.steps * start.width)
        return (), (Layer("predict", kind, start, bias=False, activation=NoActivation()),)

    def value(
        self, outputs: Outputs, targets: Int[Array, " n"], others: Outputs | None = None
    ) -> Float[Array, " n"]:
        """The loss of every image; neither `targets` nor `others` are used.

        Batches are drawn at random, so that the next image of the batch is any other image.
        """
        z, predicted = outputs
        by_step = predicted.reshape(*z.shape[:-1], self.steps, z.shape[-1])
        total = jnp.zeros(len(z), z.dtype)
        for step in range(1, self.steps + 1):
            below, expected = z[:, step:], by_step[:, :-step, :, step - 1]
            same = (below * expected).sum(-1)
            other = (jnp.roll(below, -1, axis=0) * expected).sum(-1)
            losses = jnp.maximum(0, 1 - same) + jnp.maximum(0, 1 + other)
            total += losses.mean((1, 2)) / (2 * self.steps)
        return total

    def quantities(
        self, outputs: Outputs, targets: Int[Array, " n"]
    ) -> Mapping[Any, tuple[Array, str]]:
        """For every distance: features below, those of the next image, and what is predicted."""
        z, predicted = outputs
        found: dict[Any, tuple[Array, str]] = {}
        for step in range(1, self.steps + 1):
            columns = slice((step - 1) * z.shape[-1], step * z.shape[-1])
            below, expected = z[:, step:], predicted[:, :-step, :, columns]
            next_image = jnp.concatenate([below[1:], below[:1]])
            for key, part in (("z", below), ("other z", next_image), ("v", expected)):
                found[key, step] = (part.reshape(len(z), -1, z.shape[-1]), "npc")
        return found

    def metrics(self, outputs: Outputs, targets: Int[Array, " n"]) -> Mapping[str, Array]:
        """No metrics: no output scores classes."""
        return {}
