"""Target gradients projected on guesses (Fournier et al. 2023): <T, G> G and its variations."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.along import Along, Passing, total
from compiler.gradient.views import Signals, View


@dataclass(frozen=True)
class Projection:
    """What becomes of the inner product of target and guess.

    Attributes:
        normalization: a row of `NORMALIZATIONS`.
        coefficient: a row of `COEFFICIENTS`.
        granularity: whether every example, or the batch, has coefficients of its own; `span`
            projects on the span of the guesses of all examples.
        grouping: what shares a coefficient: a `tensor`, a `block`, the whole `net`.
        derivative: `reverse`, or `forward` where they are tangents; see `compiler.gradient.along`.
        samples: K guesses whose estimates are averaged.
        kurtosis: of one number of the guess.
        chains: (block, the first block of those that gradients connect it with), where blocks are
            isolated; others are of one chain.
    """

    normalization: str
    coefficient: str
    granularity: str
    grouping: str
    derivative: str
    samples: int
    kurtosis: float
    chains: tuple[tuple[str, str], ...] = ()


class Group(NamedTuple):
    """The inner products of one group: target with guess, guess with itself, and its numbers."""

    along: Float[Array, "..."]
    square: Float[Array, "..."]
    size: int


def _none(group: Group, how: Projection) -> Float[Array, "..."]:
    return jnp.ones_like(group.along)


def _squared_norm(group: Group, how: Projection) -> Float[Array, "..."]:
    return jnp.where(group.square > 0, 1 / jnp.where(group.square > 0, group.square, 1), 0)


def _dimension(group: Group, how: Projection) -> Float[Array, "..."]:
    return jnp.full_like(group.along, 1 / group.size)


def _optimal(group: Group, how: Projection) -> Float[Array, "..."]:
    """K / (K + d + kurtosis - 2): the scale of least mean squared error (arXiv 2310.14168)."""
    return jnp.full_like(group.along, how.samples / (how.samples + group.size + how.kurtosis - 2))


NORMALIZATIONS: dict[str, Callable[[Group, Projection], Float[Array, "..."]]] = {
    "none": _none,
    "squared_norm": _squared_norm,
    "dimension": _dimension,
    "optimal": _optimal,
}
"""What multiplies the coefficient, by `projection.type`."""

Coin = Callable[[str, tuple[int, ...]], Float[Array, "..."]]
"""(name of a group, shape) -> random signs."""

COEFFICIENTS: dict[str, Callable[[Float[Array, "..."], Float[Array, "..."]], Any]] = {
    "raw": lambda along, coin: along,
    "sign": lambda along, coin: jnp.sign(along),
    "coin": lambda along, coin: coin,
}
"""(inner product, random signs) -> coefficient, by `projection.coefficient`."""


def signals(passing: Passing) -> dict[str, Float[Array, "..."]]:
    """Reverse-mode derivatives of mean losses at what a space perturbs, summed over segments."""
    found: dict[str, Any] = {}
    for still, examples in passing.objectives():
        gradient = jax.grad(lambda by, examples=examples: examples(by).sum())(still)
        for name, part in gradient.items():
            found[name] = found[name] + part if name in found else part
    return found


def coefficients(
    view: View, along: Along, guess: Signals, how: Projection, coin: Coin
) -> dict[str, Float[Array, "..."]]:
    """What the guess at each name is multiplied by.

    Args:
        view: inner products in the space and granularity.
        along: derivatives of the target.
        guess: G.
        how: the projection.
        coin: random signs.
    """
    square = view.inner(guess, guess)
    groups = members(square, how)
    derivatives, found = along(guess, groups), {}
    for title, names in groups.items():
        size = sum(view.size(name) for name in names)
        group = Group(derivatives[title], total(square, names), size)
        signs = coin(title, group.along.shape)
        value = COEFFICIENTS[how.coefficient](group.along, signs)
        found |= dict.fromkeys(names, value * NORMALIZATIONS[how.normalization](group, how))
    return found


GROUPINGS: dict[str, Callable[[str, Mapping[str, str]], str]] = {
    "tensor": lambda name, chains: name,
    "block": lambda name, chains: name.split("/")[0],
    "net": lambda name, chains: chains.get(name.split("/")[0], "net"),
}
"""(name such as `block0/dense/w`, chains) -> the group that shares its coefficient."""


def members(names: Iterable[str], how: Projection) -> dict[str, list[str]]:
    """The tensors that share a coefficient, by the title of their group."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(GROUPINGS[how.grouping](name, dict(how.chains)), []).append(name)
    return found


def span(
    view: View, target: Signals, guess: Signals, how: Projection
) -> dict[str, Float[Array, "m n"]]:
    """[m, n]: how much of guess m is in the projection of target n on the span of all guesses.

    Guesses can be linearly dependent, so the Gram matrix is inverted on its range only.
    """
    targets, guesses = view.rows(target), view.rows(guess)
    found = {}
    for names in members(guesses, how).values():
        gram = sum(guesses[n] @ guesses[n].T for n in names)
        cross = sum(guesses[n] @ targets[n].T for n in names)
        found |= dict.fromkeys(names, jnp.linalg.pinv(gram, hermitian=True, rtol=1e-6) @ cross)
    return found
