"""Sample sets: how the K perturbations of one step relate to each other, one class each."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from fgspec.formulas.notation import LOSS, drawn, noise, one_over, partner
from fgspec.formulas.tree import (
    Domain,
    Equation,
    Expr,
    Function,
    Inner,
    Over,
    Product,
    Symbol,
    Total,
)
from fgspec.spec.base import Resume
from fgspec.spec.kinds import Kind, table

SAMPLE_SETS = table("sample set", "sample_sets")


class SampleSet(Kind):
    """K independent draws turned into pairs (u, v).

    The estimate is the sum over the pairs of the derivative along u times v.

    Attributes:
        drawn_alone: whether each sample is drawn by itself, and can be drawn again.
        fits: whether there must be no more samples than numbers that move together.
        bias: what its mean is, if it is not the target.
        keeps: what it keeps from one update to the next, in words; empty if nothing. The blocks
            then learn together, not one by one, scanned or in a pipeline.
    """

    table: ClassVar = SAMPLE_SETS
    on_resume: ClassVar = Resume.FORKS
    drawn_alone: ClassVar[bool] = False
    fits: ClassVar[bool] = False
    bias: ClassVar[str] = ""
    keeps: ClassVar[str] = ""

    def spread(
        self, draws: Mapping[str, Any], rows: int
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Directions u and their partners v, by the names of the draws.

        Args:
            draws: arrays with a leading axis of K samples.
            rows: the following axes that count vectors instead of being part of one.
        """
        raise self.lacks("spread")

    def kept(self, plan: Any) -> dict[str, Any]:
        """The arrays that it keeps from one update to the next, none by default.

        Args:
            plan: `compiler.plan.plan.Plan`.

        Returns:
            `fgspec.ParamSpec` by the names of the arrays that are perturbed, such as
            `block0/dense/w`. They begin as their `role` says: at zero for `average`.
        """
        return {}

    def spread_around(
        self, draws: Mapping[str, Any], rows: int, kept: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Directions and partners where arrays are kept; those of `spread` by default.

        Args:
            draws: as for `spread`.
            rows: as for `spread`.
            kept: the arrays that are kept, by the names of the draws.
        """
        return self.spread(draws, rows)

    def next_kept(self, kept: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays that it keeps for the next update; the same by default.

        Args:
            kept: those of this update.
            estimate: the estimated gradient of the weights of all blocks, by `block/layer/name`.
        """
        return dict(kept)

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """What does not fit the set: (field to change, message, field that takes part).

        Fields are `set`, `type`, `samples`, `space` or `sharing` of the perturbation, or
        `estimator`.
        """
        yield from ()

    def summed(self, slope: Expr, array: Symbol, samples: int) -> Expr:
        """The estimate at an array from the slopes along its directions.

        Args:
            slope: along sample k.
            array: that the directions are of.
            samples: K.
        """
        body = Total(("k",), Product((slope, noise(array))))
        return body if samples == 1 else Product((one_over(samples, "K"), body))

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """How directions, and what multiplies their slopes, are made from draws.

        Args:
            array: that the directions are of.
            moves: what moves at once.
            rows: leading axes of the array that count vectors, see `Space.rows`.
        """
        return ()

    def variance(self, samples: int) -> str:
        """What the set makes of the variance of one sample, in a sentence; empty if nothing."""
        return f"The average over {samples} samples has 1/{samples} of it." if samples > 1 else ""


def _gram(array: Symbol, moves: Domain, draws: Any, rows: int) -> Expr:
    """The inner products of all directions, for every vector by itself."""
    kept = ("n", "k", "i") if rows else ("k", "i")
    one = Inner(draws(array, "k"), draws(array, "i"), kept)
    return Over(array.at[0], moves, one)


class _Normal(SampleSet):
    """Sets that span a uniformly random subspace."""

    fits: ClassVar[bool] = True

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """They need several normal draws."""
        if not perturbation.guess.isotropic:
            message = "spans a uniformly random subspace if the guess is normal; use normal"
            yield "type", message, "set"
        elif perturbation.samples == 1:
            yield "samples", "must be at least 2 for a set", "set"


class Independent(SampleSet):
    """K independent directions; their estimates are averaged."""

    behaviour: ClassVar[str | None] = "compiler.estimators.sample_sets:Independent"
    drawn_alone: ClassVar[bool] = True
    type: Literal["independent"] = "independent"


class Antithetic(SampleSet):
    """K/2 independent directions and their opposites: central instead of one-sided differences.

    For `finite_difference` only, as the derivative along -u tells nothing new.
    """

    behaviour: ClassVar[str | None] = "compiler.estimators.sample_sets:Antithetic"
    type: Literal["antithetic"] = "antithetic"

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """Half of the draws and their opposites."""
        says = "Half of the directions are drawn, the others are their opposites."
        mirrored = Function("mirrored", drawn(array), ("k",))
        return (Equation(noise(array), mirrored, says),)

    def variance(self, samples: int) -> str:
        """Half of the samples say nothing new."""
        return f"{samples} samples, which are pairs of opposites, have 1/{samples // 2} of it."

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """Opposites come in pairs, and tell a derivative nothing new."""
        if estimator.differentiates:
            message = "antithetic samples add nothing in forward mode; use independent"
            yield "set", message, "estimator"
        elif perturbation.samples % 2:
            yield "samples", "must be even: opposites come in pairs", "set"


class Orthogonal(_Normal):
    """K orthogonal normal directions, averaged: unbiased, with less variance than independent."""

    behaviour: ClassVar[str | None] = "compiler.estimators.sample_sets:Orthogonal"
    type: Literal["orthogonal"] = "orthogonal"

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """Draws made orthogonal, of the length that normal ones have in the mean."""
        root = Symbol("root", "R", "R", (LOSS,), ("k", "i"))
        length = Symbol("length", r"\sqrt{D}", "√D", (LOSS,))
        mixed = Total(("i",), Product((root, drawn(array, "i"))))
        says = "R makes the K draws orthogonal: it is the inverse of the Cholesky factor of their "
        says += "inner products. D is how many numbers move together."
        return (
            Equation(
                root, Function("inverse root", _gram(array, moves, drawn, rows), ("k", "i")), says
            ),
            Equation(noise(array), Product((length, mixed)), "All directions have the length √D."),
        )

    def variance(self, samples: int) -> str:
        """A little less than that of independent samples."""
        return f"{samples} orthogonal samples have (D - {samples}) / ({samples} (D - 1)) of it."


class Projected(_Normal):
    """The gradient's orthogonal projection on K normal directions, biased (Fluegel et al. 2024)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.sample_sets:Projected"
    bias: ClassVar[str] = "estimates the orthogonal projection of the gradient on the directions"
    type: Literal["projected"] = "projected"

    def summed(self, slope: Expr, array: Symbol, samples: int) -> Expr:
        """Slopes times partners."""
        return Total(("k",), Product((slope, partner(array))))

    def equations(self, array: Symbol, moves: Domain, rows: int) -> tuple[Equation, ...]:
        """The partners that make the sum an orthogonal projection."""
        inverse = Symbol("inverse", "M", "M", (LOSS,), ("k", "i"))
        mixed = Total(("i",), Product((inverse, noise(array, "i"))))
        says = "M is the inverse of the inner products of the K directions."
        gram = Function("inverse", _gram(array, moves, noise, rows), ("k", "i"))
        return (
            Equation(inverse, gram, says),
            Equation(partner(array), mixed, "So the sum is the nearest point of their span."),
        )

    def variance(self, samples: int) -> str:
        """That of a projection."""
        return (
            f"The projection on {samples} directions has the variance "
            f"{samples}/D (1 - {samples}/D) |t|² instead."
        )
