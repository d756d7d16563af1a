"""How the K perturbations of one step relate to each other: one function and one table row each.

A set turns K independent draws into pairs (u_k, v_k); the estimate is the sum over k of the
derivative along u_k times v_k.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Draws = Mapping[str, Float[Array, "..."]]
"""Arrays by name, each with a leading axis of K samples."""

Set = Callable[[Draws, int], tuple[Draws, Draws]]
"""(draws, leading axes that count vectors) -> (directions u, their partners v)."""


def independent(draws: Draws, rows: int) -> tuple[Draws, Draws]:
    """K independent directions, averaged."""
    return draws, jax.tree.map(lambda u: u / u.shape[0], draws)


def antithetic(draws: Draws, rows: int) -> tuple[Draws, Draws]:
    """K/2 independent directions and their opposites: central instead of one-sided differences."""

    def mirrored(u: Float[Array, "..."]) -> Float[Array, "..."]:
        half = u[: u.shape[0] // 2]
        return jnp.concatenate([half, -half])

    return independent({name: mirrored(u) for name, u in draws.items()}, rows)


def orthogonal(draws: Draws, rows: int) -> tuple[Draws, Draws]:
    """K orthogonal directions of length sqrt(D), D numbers over all arrays, averaged.

    Each of them alone is uniform on the sphere, if the draws are normal, and so unbiased. Together
    they hit no direction twice: the variance of the average is that of one times (D - K) / (K (D
    - 1)), zero for K = D.
    """
    size = sum(prod(u.shape[1 + rows :]) for u in draws.values())
    factor = jnp.linalg.cholesky(_gram(draws, rows))
    inverse = jnp.linalg.inv(factor)
    spread = {name: _mix(inverse, u, rows) * jnp.sqrt(float(size)) for name, u in draws.items()}
    return independent(spread, rows)


def projected(draws: Draws, rows: int) -> tuple[Draws, Draws]:
    """The orthogonal projection of the gradient on the span of K directions.

    Fluegel et al. 2024 (arXiv 2410.17764): v = G^-1 u with the Gram matrix G of the directions.
    Biased by design: its mean is K / D of the gradient for isotropic directions, D numbers over
    all arrays; it is the nearest point to the gradient that the K derivatives can tell of.
    """
    inverse = jnp.linalg.inv(_gram(draws, rows))
    return draws, {name: _mix(inverse, u, rows) for name, u in draws.items()}


def _flat(u: Float[Array, "..."], rows: int) -> Float[Array, "k r d"]:
    return u.reshape(u.shape[0], prod(u.shape[1 : 1 + rows]), -1)


def _gram(draws: Draws, rows: int) -> Float[Array, "r k k"]:
    flat = [_flat(u, rows) for u in draws.values()]
    grams = [jnp.einsum("krd,jrd->rkj", u, u) for u in flat]
    return sum(grams[1:], grams[0])


def _mix(by: Float[Array, "r k k"], u: Any, rows: int) -> Float[Array, "..."]:
    return jnp.einsum("rkj,jrd->krd", by, _flat(u, rows)).reshape(u.shape)


SETS: dict[str, Set] = {
    "independent": independent,
    "antithetic": antithetic,
    "orthogonal": orthogonal,
    "projected": projected,
}
"""By `gradient.perturbation.guess.set`."""
