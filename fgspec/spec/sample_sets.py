"""Sample sets: how the K perturbations of one step relate to each other, one class each."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

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
    """

    table: ClassVar = SAMPLE_SETS
    on_resume: ClassVar = Resume.FORKS
    drawn_alone: ClassVar[bool] = False
    fits: ClassVar[bool] = False
    bias: ClassVar[str] = ""

    def spread(
        self, draws: Mapping[str, Any], rows: int
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Directions u and their partners v, by the names of the draws.

        Args:
            draws: arrays with a leading axis of K samples.
            rows: the following axes that count vectors instead of being part of one.
        """
        raise self.lacks("spread")

    def misfits(self, perturbation: Any, estimator: Any) -> Iterator[tuple[str, str, str]]:
        """What does not fit the set: (field to change, message, field that takes part).

        Fields are `set`, `type` or `samples` of the perturbation, or `estimator`.
        """
        yield from ()


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


class Projected(_Normal):
    """The gradient's orthogonal projection on K normal directions, biased (Fluegel et al. 2024)."""

    behaviour: ClassVar[str | None] = "compiler.estimators.sample_sets:Projected"
    bias: ClassVar[str] = "estimates the orthogonal projection of the gradient on the directions"
    type: Literal["projected"] = "projected"
