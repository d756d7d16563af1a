"""Low-rank guesses: products of two thin normal matrices (Sarkar et al. 2025, 2511.16652)."""

from math import sqrt

import jax.numpy as jnp
from jax import random
from jaxtyping import Array, Float, PRNGKeyArray

from compiler.estimators.guesses import normal
from compiler.named_arrays.precision import EXACT
from fgspec.spec import low_rank


class LowRank(low_rank.LowRank):
    """Matrices of low rank, and normal vectors."""

    def draw(
        self, key: PRNGKeyArray, rows: tuple[int, ...], shape: tuple[int, ...]
    ) -> Float[Array, "..."]:
        """[*rows, *shape], float32: the last two axes of `shape` are A Bᵀ / √rank.

        A and B have independent standard normal numbers. Without two axes in `shape`, the numbers
        are independent and standard normal themselves.
        """
        if len(shape) < 2:
            return normal(key, rows, shape)
        *others, height, width = shape
        left, right = (
            normal(own, rows, (*others, size, self.rank))
            for own, size in zip(random.split(key), (height, width), strict=True)
        )
        product = jnp.einsum("...ir,...jr->...ij", left, right, precision=EXACT)
        return product / sqrt(self.rank)
