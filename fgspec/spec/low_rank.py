"""Low-rank guesses: a random matrix that is the product of two thin ones."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt
from fgspec.spec.gradient import Gradient
from fgspec.spec.guesses import Guess
from fgspec.yaml.load import Path


class LowRank(Guess):
    """Random matrices A Bᵀ / √r of low rank r, with normal factors A and B (Sarkar et al. 2025).

    The last two axes of an array are the matrix; each entry of its other axes, such as a channel
    group or a position of a kernel, has a matrix of its own. An array of one axis, such as a bias,
    takes independent normal numbers. The scale 1/√r is that of EGGROLL (arXiv 2511.16652); the
    product of two normal factors as a direction is also that of LOZO (arXiv 2410.07698), which
    keeps one of them for several updates. Here both are drawn anew. The numbers of a matrix have
    mean 0 and variance 1 and are uncorrelated, so the estimate is unbiased, but they are not
    independent: the variance is larger than that of normal numbers.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.low_rank:LowRank"
    says: ClassVar[str] = (
        "For each matrix the product A Bᵀ / √r of two matrices of independent normal numbers, A "
        "with as many rows and B with as many columns as it, both with r columns; for vectors "
        "independent normal numbers."
    )
    type: Literal["low_rank"] = "low_rank"
    rank: PositiveInt = Field(
        default=1,
        description="How many columns both factors have, r in formulas. The larger it is, the "
        "closer the numbers are to independent normal ones.",
        examples=[4],
    )

    def kurtosis_of(self, shape: tuple[int, ...]) -> float:
        """3 + 2 (m + n + 1) / r for matrices of m by n; 3 for vectors.

        With a pair of columns a, b for each unit of rank, E <G, U>² |U|² has r terms of one pair,
        (m + 2) (n + 2) each, and r (r - 1) terms of two pairs, m n + 2 each, all times |G|² / r².
        """
        if len(shape) < 2:
            return self.kurtosis
        return self.kurtosis + 2 * (shape[-2] + shape[-1] + 1) / self.rank

    def variance_of(self, dimension: int, samples: int) -> str:
        """That of normal numbers, and what the numbers of a matrix have in common."""
        return (
            f"{super().variance_of(dimension, samples)} At a matrix of m by n numbers the "
            f"factor is larger, by 2 (m + n + 1) / {self.rank}."
        )

    def problems(self, at: Path, gradient: Gradient) -> Iterator[Problem]:
        """A scale for one kurtosis does not fit arrays of several."""
        perturbation = gradient.perturbation
        scale = perturbation.projection.type if perturbation is not None else None
        if scale is not None and scale.reads_kurtosis:
            message = "the kurtosis of low-rank guesses differs from array to array; use none"
            yield Problem(
                ("gradient", "perturbation", "projection", "type"),
                message,
                others=((*at, "type"),),
            )
