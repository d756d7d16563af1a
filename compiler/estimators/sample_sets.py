"""How the K perturbations of one step depend on each other."""

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
"""Directions u and their partners v: the estimate is the sum over k of <T, u_k> v_k."""


def _averaged(draws: Draws) -> Pairs:
    return draws, jax.tree.map(lambda u: u / u.shape[0], draws)


class Independent(sample_sets.Independent):
    """K independent directions, whose estimates are averaged."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """The draws u as directions, and u / K as their partners."""
        return _averaged(draws)


class Antithetic(sample_sets.Antithetic):
    """K / 2 directions and their negatives, averaged."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """The first half of the draws, followed by their negatives."""

        def mirrored(u: Float[Array, "..."]) -> Float[Array, "..."]:
            half = u[: u.shape[0] // 2]
            return jnp.concatenate([half, -half])

        return _averaged({name: mirrored(u) for name, u in draws.items()})


class Orthogonal(sample_sets.Orthogonal):
    """K orthogonal directions, averaged: unbiased, with less variance than independent ones."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """K orthogonal directions of length sqrt(D), where D is the size of all arrays together.

        If the draws are normal, each direction by itself is uniform on the sphere, so the estimate
        is unbiased. The variance of the average is (D - K) / (K (D - 1)) times that of a single
        direction, which is zero for K = D.
        """
        size = sum(prod(u.shape[1 + rows :]) for u in draws.values())
        inverse = jnp.linalg.inv(jnp.linalg.cholesky(_gram(draws, rows)))
        length = jnp.sqrt(float(size))
        return _averaged({name: _mix(inverse, u, rows) * length for name, u in draws.items()})


class Projected(sample_sets.Projected):
    """K directions; the estimate is the projection of the gradient on their span."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """Partners v = G^-1 u, with the Gram matrix G of the directions (arXiv 2410.17764).

        Biased by design. For isotropic directions its mean is K / D times the gradient, where D is
        the size of all arrays together. Of all vectors in the span of the directions it is the
        nearest to the gradient.
        """
        # The Gram matrix is a sum over arrays, so the arrays need not be concatenated.
        inverse = jnp.linalg.inv(_gram(draws, rows))
        return draws, {name: _mix(inverse, u, rows) for name, u in draws.items()}


def flat(u: Float[Array, "..."], rows: int) -> Float[Array, "k r d"]:
    """Samples, rows that have vectors of their own, and the numbers of a vector."""
    return u.reshape(u.shape[0], prod(u.shape[1 : 1 + rows]), -1)


def _gram(draws: Draws, rows: int) -> Float[Array, "r k k"]:
    vectors = [flat(u, rows) for u in draws.values()]
    grams = [jnp.einsum("krd,jrd->rkj", u, u, precision=EXACT) for u in vectors]
    return sum(grams[1:], grams[0])


def _mix(by: Float[Array, "r k k"], u: Any, rows: int) -> Float[Array, "..."]:
    return jnp.einsum("rkj,jrd->krd", by, flat(u, rows), precision=EXACT).reshape(u.shape)
