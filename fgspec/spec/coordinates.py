"""Coordinate-wise samples: along single numbers of what is perturbed."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from fgspec.formulas.notation import LOSS, noise
from fgspec.formulas.tree import Domain, Equation, Expr, Number, Product, Symbol, Total
from fgspec.spec.sample_sets import SampleSet

TOGETHER = Symbol("together", "D", "D", (LOSS,))
"""How many numbers move together."""


class Coordinates(SampleSet):
    """K different coordinates, drawn anew in every update: each sample moves one number alone.

    With `estimator: finite_difference` these are coordinate-wise finite differences (Chen et al.
    2024, arXiv 2310.02025): each is a loss with one number moved by `epsilon`, minus the loss. The
    K numbers are a uniformly random subset without repetition of the D that move together, and the
    estimate is D/K times what they give, so it is unbiased. With K = D samples it is the whole
    gradient, coordinate by coordinate. The draws of the guess only choose the coordinates.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.coordinates:Coordinates"
    fits: ClassVar[bool] = True
    type: Literal["coordinates"] = "coordinates"

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """Signs and other repeated numbers would not choose all coordinates equally often."""
        if not perturbation.guess.isotropic:
            yield "type", "the largest of normal draws choose the coordinates; use normal", "set"

    def summed(self, slope: Expr, array: Symbol, samples: int) -> Expr:
        """D/K times the slopes at their coordinates."""
        share = Number(1 / samples, r"\frac{1}{K}", "1/K")
        return Product((share, TOGETHER, Total(("k",), Product((slope, noise(array))))))

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """The directions are unit vectors."""
        unit = Symbol("coordinate", "e", "e", (LOSS, *array.at), ("k",))
        says = "The direction has a 1 at one number, drawn without repetition from the D that move "
        says += "together, and 0 everywhere else."
        return (Equation(noise(array), unit, says),)

    def variance(self, samples: int) -> str:
        """That of a subset without repetition."""
        return (
            f"{samples} different coordinates have the variance (D - {samples})/{samples} |t|² "
            "instead."
        )
