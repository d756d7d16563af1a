"""Momentum-guided samples: along the average of past estimates, and across it."""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.sample_sets import Draws, Pairs, flat
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import Plan
from fgspec.spec import guided
from fgspec.spec.shapes import ParamSpec

Arrays = Mapping[str, Float[Array, "..."]]


class Guided(guided.Guided):
    """One direction along an average that is kept, the others across it (arXiv 1910.05268)."""

    def kept(self, plan: Plan) -> dict[str, ParamSpec]:
        """The average estimate of every weight, by `block/layer/name`; zero at first."""
        weights = flatten(plan.parameters()["blocks"])
        return {name: replace(spec, role="average") for name, spec in weights.items()}

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """As if the average were zero: nothing along it, and the mean of the other draws."""
        zeros = {name: jnp.zeros(u.shape[1 + rows :], u.dtype) for name, u in draws.items()}
        return self.spread_around(draws, rows, zeros)

    def spread_around(self, draws: Draws, rows: int, kept: Arrays) -> Pairs:
        """Directions u and partners v, of which sum v u^T has the mean 1 for any average m.

        With the unit vector w of m and the number D of all arrays together, u_1 is sqrt(D) w and
        v_1 is w / sqrt(D); the others are u_k = z_k - <z_k, w> w for draws z_k, and
        v_k = u_k / (K - 1). As the z_k have uncorrelated numbers of unit variance, the mean of
        u_k u_k^T is 1 - w w^T, and u_1 v_1^T is w w^T.
        """
        samples = next(iter(draws.values())).shape[0]
        vectors = {name: flat(u, rows) for name, u in draws.items()}
        average = {name: kept[name].reshape(-1).astype(z.dtype) for name, z in vectors.items()}
        square = sum(jnp.square(m).sum() for m in average.values())
        shrunk = jnp.where(square > 0, jax.lax.rsqrt(jnp.where(square > 0, square, 1.0)), 0.0)
        way = {name: m * shrunk for name, m in average.items()}
        parts = [(z * way[name][None, None]).sum(-1) for name, z in vectors.items()]
        along = sum(parts[1:], parts[0])
        length = sqrt(sum(m.size for m in average.values()))

        def pair(name: str) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
            z, w = vectors[name][1:], way[name][None, None]
            across = z - along[1:, :, None] * w
            first = jnp.broadcast_to(w, (1, *z.shape[1:]))
            u = jnp.concatenate([length * first, across])
            v = jnp.concatenate([first / length, across / (samples - 1)])
            shape = draws[name].shape
            return u.reshape(shape), v.reshape(shape)

        pairs = {name: pair(name) for name in draws}
        directions = {name: u for name, (u, _) in pairs.items()}
        return directions, {name: v for name, (_, v) in pairs.items()}

    def next_kept(self, kept: Arrays, estimate: Arrays) -> dict[str, Any]:
        """The average after an update: a share of it, and the rest of this update's estimate."""

        def moved(m: Float[Array, "..."], new: Float[Array, "..."]) -> Float[Array, "..."]:
            return self.momentum * m + (1 - self.momentum) * new.astype(m.dtype)

        return {name: moved(m, estimate[name]) for name, m in kept.items()}
