"""Scales, coefficients and spans: what becomes of the slopes of groups (Fournier et al. 2023)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.example_gradients import Signals, View
from compiler.estimators.grouped_derivatives import Along, total
from compiler.plan.plan import Plan
from fgspec.spec import projections
from fgspec.spec.kinds import working


class Group(NamedTuple):
    """The inner products of one group.

    Attributes:
        along: of target and guess, [n] or [].
        square: of the guess with itself, in the same shape.
        size: numbers of a vector.
    """

    along: Float[Array, "..."]
    square: Float[Array, "..."]
    size: int


class NoScale(projections.NoScale):
    """The section with what it computes."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """One."""
        return jnp.ones_like(group.along)


class SquaredNorm(projections.SquaredNorm):
    """The section with what it computes."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """1/|G|^2, and zero where the guess is zero."""
        return jnp.where(group.square > 0, 1 / jnp.where(group.square > 0, group.square, 1), 0)


class Dimension(projections.Dimension):
    """The section with what it computes."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """1/d."""
        return jnp.full_like(group.along, 1 / group.size)


class Optimal(projections.Optimal):
    """The section with what it computes."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """K / (K + d + kurtosis - 2), which for one sample is 1 / (d + kurtosis - 1)."""
        return jnp.full_like(group.along, samples / (samples + group.size + kurtosis - 2))


class Sign(projections.Sign):
    """The section with what it computes."""

    def coefficient(
        self, along: Float[Array, "..."], coin: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The sign of the derivative."""
        return jnp.sign(along)


Toss = Callable[[str, tuple[int, ...]], Float[Array, "..."]]
"""(name of a group, shape) -> random signs."""


def members(plan: Plan, names: Iterable[str]) -> dict[str, list[str]]:
    """The tensors that share a slope, by the title of their group."""
    assert plan.perturbation is not None
    assert plan.perturbation.projection.grouping is not None
    grouping, chains = working(plan.perturbation.projection.grouping), plan.chains
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(grouping.title(name, chains), []).append(name)
    return groups


def coefficients(
    plan: Plan, view: View, along: Along, guess: Signals, toss: Toss
) -> dict[str, Float[Array, "..."]]:
    """What the guess at each name is multiplied by.

    Args:
        plan: whose projection it is.
        view: inner products in the space and granularity.
        along: slopes of the target.
        guess: G.
        toss: random signs.
    """
    perturbation = plan.perturbation
    assert perturbation is not None
    projection = perturbation.projection
    assert projection.type is not None
    scale, coefficient = working(projection.type), working(projection.coefficient)
    kurtosis = 0.0 if perturbation.guess.made else perturbation.guess.kurtosis
    square = view.inner(guess, guess)
    groups = members(plan, square)
    slopes, factors = along(guess, groups), {}
    for title, names in groups.items():
        size = sum(view.size(name) for name in names)
        group = Group(slopes[title], total(square, names), size)
        coin = toss(title, group.along.shape).astype(group.along.dtype)
        value = coefficient.coefficient(group.along, coin)
        scaled = value * scale.scale(group, perturbation.samples, kurtosis)
        factors |= dict.fromkeys(names, scaled)
    return factors


def span(plan: Plan, view: View, target: Signals, guess: Signals) -> dict[str, Float[Array, "m n"]]:
    """[m, n]: how much of guess m is in the projection of target n on the span of all guesses.

    Guesses can be linearly dependent, so the Gram matrix is inverted on its range only.
    """
    targets, guesses = view.rows(target), view.rows(guess)
    weights = {}
    for names in members(plan, guesses).values():
        gram = sum(guesses[name] @ guesses[name].T for name in names)
        cross = sum(guesses[name] @ targets[name].T for name in names)
        weights |= dict.fromkeys(names, jnp.linalg.pinv(gram, hermitian=True, rtol=1e-6) @ cross)
    return weights
