"""From the slopes of groups to coefficients of guesses: scales, signs and spans.

They are the variations of Fournier et al. 2023.
"""

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
    """The inner products of one group of tensors.

    Attributes:
        along: <T, G> of target and guess, [n] or [].
        square: <G, G> of the guess with itself, in the same shape.
        size: the length d of the group's vector.
    """

    along: Float[Array, "..."]
    square: Float[Array, "..."]
    size: int


class NoScale(projections.NoScale):
    """The projection <T, G> G, without a scale."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """One."""
        return jnp.ones_like(group.along)


class SquaredNorm(projections.SquaredNorm):
    """The orthogonal projection <T, G> G / |G|^2."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """1/|G|^2, and 0 where the guess is 0."""
        return jnp.where(group.square > 0, 1 / jnp.where(group.square > 0, group.square, 1), 0)


class Dimension(projections.Dimension):
    """The projection <T, G> G / d, for vectors of d numbers."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """1/d."""
        return jnp.full_like(group.along, 1 / group.size)


class Optimal(projections.Optimal):
    """The scale with the least mean squared error, for K samples of d numbers."""

    def scale(self, group: Group, samples: int, kurtosis: float) -> Float[Array, "..."]:
        """K / (K + d + kurtosis - 2); for one sample this is 1 / (d + kurtosis - 1)."""
        return jnp.full_like(group.along, samples / (samples + group.size + kurtosis - 2))


class Sign(projections.Sign):
    """A control: only the sign of the derivative is used."""

    def coefficient(
        self, along: Float[Array, "..."], coin: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """-1, 0 or 1: the sign of <T, G>."""
        return jnp.sign(along)


Toss = Callable[[str, tuple[int, ...]], Float[Array, "..."]]
"""(title of a group, shape) -> random signs."""


def members(plan: Plan, names: Iterable[str]) -> dict[str, list[str]]:
    """Title of a group -> the names of its tensors, which share one slope."""
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
    """The factors of the guess by name, [n] or [].

    Args:
        plan: the plan; its perturbation has a projection.
        view: computes inner products in the plan's space and granularity.
        along: computes the slopes of the target.
        guess: G by name.
        toss: draws random signs, for coefficients that use them.
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
    """[m, n]: the coefficient of guess m in the projection of target n on the span of all guesses.

    Guesses can be linearly dependent, so the Gram matrix has a pseudo-inverse only.
    """
    targets, guesses = view.rows(target), view.rows(guess)
    weights = {}
    for names in members(plan, guesses).values():
        gram = sum(guesses[name] @ guesses[name].T for name in names)
        cross = sum(guesses[name] @ targets[name].T for name in names)
        weights |= dict.fromkeys(names, jnp.linalg.pinv(gram, hermitian=True, rtol=1e-6) @ cross)
    return weights
