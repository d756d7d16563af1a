"""Coordinate-wise samples: K different unit vectors (Chen et al. 2024, arXiv 2310.02025)."""

import jax
import jax.numpy as jnp
import numpy as np

from compiler.estimators.sample_sets import Draws, Pairs, flat
from fgspec.spec import coordinates


class Coordinates(coordinates.Coordinates):
    """K different coordinates as directions."""

    def spread(self, draws: Draws, rows: int) -> Pairs:
        """Unit vectors u_k of K different coordinates, and D/K u_k as their partners.

        The coordinates of the K largest numbers of the first draw are a uniformly random subset,
        as all orders of independent normal numbers are equally likely. D is the size of all arrays
        together.
        """
        samples = next(iter(draws.values())).shape[0]
        scores = [flat(u, rows)[0] for u in draws.values()]
        sizes = [score.shape[-1] for score in scores]
        _, chosen = jax.lax.top_k(jnp.concatenate(scores, -1), samples)
        units = jax.nn.one_hot(chosen.T, sum(sizes), dtype=scores[0].dtype)
        parts = jnp.split(units, np.cumsum(sizes)[:-1], -1)
        directions = {
            name: part.reshape(u.shape)
            for (name, u), part in zip(draws.items(), parts, strict=True)
        }
        scale = sum(sizes) / samples
        return directions, jax.tree.map(lambda u: scale * u, directions)
