"""CLAPP++'s hinge loss (Wu et al. 2026, arXiv 2601.21683), as in the authors' public code."""

from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from compiler.network.extend import averaging, full
from compiler.network.shapes import Layer
from fgspec.errors import UserError
from fgspec.spec import clapp_plus_plus
from fgspec.spec.kinds import working
from fgspec.spec.layers import AveragePoolLayer
from fgspec.spec.shapes import Extent

Outputs = tuple[Float[Array, "n ..."], ...]
"""Averaged features z, then for every context the products B^T z, [n, d]."""


class ClappPlusPlus(clapp_plus_plus.ClappPlusPlus):
    """CLAPP++'s hinge loss."""

    def chains(self, place: Any, head: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], ...]:
        """Averaged features, and for every context the product of its matrix with them.

        The matrix maps z instead of the context, which gives the same scores, so that no gradient
        has to be stopped inside a chain.

        Raises:
            UserError: a grid does not fit the network.
        """
        averaged = self._averaged("average", place.features, place)
        chains: list[tuple[Layer, ...]] = [(averaged,)]
        for context in self.contexts:
            before = self._averaged(f"average_{context}", place.features, place)
            read = before.end
            if context == "last":
                last = place.network.blocks[-1]
                read = self._averaged("last", last.end, place._replace(block=last.name)).end
            chains.append((before, full(f"to_{context}", before.end, prod(read), bias=False)))
        return tuple(chains)

    def _averaged(self, name: str, start: Extent, place: Any) -> Layer:
        """The layer that averages the features of a block to its grid."""
        blocks = [block.name for block in place.network.blocks]
        if len(self.grid) not in (1, len(blocks)):
            raise UserError(
                f"losses.local.objective.grid: must have 1 number or {len(blocks)}, one for each "
                f"block (got {len(self.grid)})"
            )
        side = self._side(blocks.index(place.block))
        if side > min(start.rows, start.columns):
            raise UserError(
                f"losses.local.objective.grid: must be at most the {start.rows}x{start.columns} "
                f"positions after {place.block} (got {side}); use smaller numbers"
            )
        return averaging(name, start, (side, side))

    def _side(self, index: int) -> int:
        return self.grid[index if len(self.grid) > 1 else 0]

    def targets_from_last(
        self, targets: Shaped[Array, "n ..."], features: Float[Array, "n p g c"], start: Extent
    ) -> Float[Array, "n d"]:
        """The contexts from the last block."""
        average = working(AveragePoolLayer(grid=(self._side(-1), self._side(-1))))
        return average.apply({}, features, start).reshape(len(features), -1)

    def value(
        self, outputs: Outputs, targets: Shaped[Array, "n ..."], others: Outputs | None = None
    ) -> Float[Array, " n"]:
        """The loss of every row. Contexts are taken from `others`.

        The other image is that of the next row.
        """
        total = jnp.zeros(len(outputs[0]), outputs[0].dtype)
        at_rest = outputs if others is None else others
        for mapped, context in zip(outputs[1:], self._contexts(at_rest, targets), strict=True):
            view, image = _compared(mapped)
            total += jnp.maximum(0, 1 - (view * context).sum(-1))
            total += jnp.maximum(0, 1 + (image * context).sum(-1))
        return total

    def _contexts(
        self, outputs: Outputs, targets: Shaped[Array, "n ..."]
    ) -> list[Float[Array, "n d"]]:
        """The context of every row, for each matrix; no gradient passes."""
        own = outputs[0].reshape(len(outputs[0]), -1)
        found = {"own": own, "last": targets}
        return [jax.lax.stop_gradient(found[context]) for context in self.contexts]

    def quantities(
        self, outputs: Outputs, targets: Shaped[Array, "n ..."]
    ) -> Mapping[Any, tuple[Array, str]]:
        """For every context: itself, and what it is compared with."""
        found: dict[Any, tuple[Array, str]] = {}
        contexts = self._contexts(outputs, targets)
        for name, mapped, context in zip(self.contexts, outputs[1:], contexts, strict=True):
            view, image = _compared(mapped)
            found |= {
                f"{name} context": (context, "nd"),
                f"{name} other view": (view, "nd"),
                f"{name} other image": (image, "nd"),
            }
        return found

    def metrics(self, outputs: Outputs, targets: Shaped[Array, "n ..."]) -> Mapping[str, Array]:
        """No metrics: no output scores classes."""
        return {}


def _compared(mapped: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """For every row, those of the other view of its image, and those of another image."""
    view = jnp.roll(mapped, len(mapped) // 2, axis=0)
    return view, jnp.roll(view, -1, axis=0)
