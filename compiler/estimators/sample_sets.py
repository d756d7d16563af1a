"""How the K perturbations of one step relate to each other."""

from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.named_arrays.precision import EXACT
from fgspec.spec import sample_sets

Draws = Mapping[str, Float[Array, "..."]]
"""Arrays by name, each with a leading axis of K samples."""

Pairs = tuple[Draws, Draws]
"""Directions u, and their partners v."""


def _averaged(draws: Draws) -> Pairs:
    return draws, jax.tree.map(lambda u: u / u.shape[0], draws)


class Independent(sample_sets.Independent):
    """The section with what it computes."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """Every draw by itself."""
        return _averaged(draws)


class Antithetic(sample_sets.Antithetic):
    """The section with what it computes."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """The first half of the draws, and their opposites."""

        def mirrored(u: Float[Array, "..."]) -> Float[Array, "..."]:
            half = u[: u.shape[0] // 2]
            return jnp.concatenate([half, -half])

        return _averaged({name: mirrored(u) for name, u in draws.items()})


class Orthogonal(sample_sets.Orthogonal):
    """The section with what it computes."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """K orthogonal directions of length sqrt(D), D numbers over all arrays, averaged.

        Each of them alone is uniform on the sphere, if the draws are normal, and so unbiased.
        Together they hit no direction twice: the variance of the average is that of one times
        (D - K) / (K (D - 1)), zero for K = D.
        """
        size = sum(prod(u.shape[1 + rows :]) for u in draws.values())
        inverse = jnp.linalg.inv(jnp.linalg.cholesky(_gram(draws, rows)))
        length = jnp.sqrt(float(size))
        return _averaged({name: _mix(inverse, u, rows) * length for name, u in draws.items()})


class Projected(sample_sets.Projected):
    """The section with what it computes."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """Partners v = G^-1 u, with the Gram matrix G of the directions (arXiv 2410.17764).

        Biased by design: its mean is K / D of the gradient for isotropic directions, D numbers over
        all arrays; it is the nearest point to the gradient that the K derivatives can tell of.
        """
        # One K x K matrix over all arrays that move together is solved; nothing is concatenated.
        inverse = jnp.linalg.inv(_gram(draws, rows))
        return draws, {name: _mix(inverse, u, rows) for name, u in draws.items()}


def _flat(u: Float[Array, "..."], rows: int) -> Float[Array, "k r d"]:
    return u.reshape(u.shape[0], prod(u.shape[1 : 1 + rows]), -1)


def _gram(draws: Draws, rows: int) -> Float[Array, "r k k"]:
    vectors = [_flat(u, rows) for u in draws.values()]
    grams = [jnp.einsum("krd,jrd->rkj", u, u, precision=EXACT) for u in vectors]
    return sum(grams[1:], grams[0])


def _mix(by: Float[Array, "r k k"], u: Any, rows: int) -> Float[Array, "..."]:
    return jnp.einsum("rkj,jrd->krd", by, _flat(u, rows), precision=EXACT).reshape(u.shape)
