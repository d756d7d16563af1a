"""Guesses made from the network: the gradients of other losses at the same places."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Losses
from compiler.estimators.grouped_derivatives import Passing, signals
from compiler.estimators.site_losses import site_losses
from compiler.named_arrays.random_streams import KeyData, address
from compiler.network.initialize import initialize
from compiler.plan.segment import Segment, Site
from fgspec.spec import guesses, targets
from fgspec.spec.guesses import Guess
from fgspec.spec.kinds import working
from fgspec.spec.spaces import Space
from fgspec.spec.targets import Target

Params = Mapping[str, Any]


class Guide(NamedTuple):
    """Losses whose gradient is the guess.

    Attributes:
        segments: they may overlap.
        losses: of their sites.
        first: whether only the first block of a segment takes its gradient.
    """

    segments: tuple[Segment, ...]
    losses: Losses
    first: bool = False


def _of_target(target: Target, context: Context) -> Guide:
    segments = tuple(working(target).segments(context.plan.units))
    return Guide(segments, site_losses(context.plan, context.params, {}, context.labels))


def _under_heads_of(key: KeyData, context: Context) -> Guide:
    """The local losses under heads drawn from `key`.

    These heads are no parameters: nothing trains or decays them, and no checkpoint holds them.
    """
    plan = context.plan
    heads = initialize({"heads": plan.heads()}, key, plan.network.initialization)
    losses = site_losses(plan, {**context.params, **heads}, {}, context.labels)
    return Guide(tuple(working(targets.Local()).segments(plan.units)), losses)


class LocalGuess(guesses.LocalGuess):
    """The section with its losses."""

    def guide(self, context: Context) -> Guide:
        """The local losses."""
        return _of_target(targets.Local(), context)


class GlobalGuess(guesses.GlobalGuess):
    """The section with its loss."""

    def guide(self, context: Context) -> Guide:
        """The final loss."""
        return _of_target(targets.Global(), context)


class AboveGuess(guesses.AboveGuess):
    """The section with its losses."""

    def guide(self, context: Context) -> Guide:
        """The own and the next local loss."""
        return _of_target(targets.Above(), context)


class Ntk(guesses.Ntk):
    """The section with its losses."""

    def guide(self, context: Context) -> Guide:
        """The local losses under heads of this step."""
        return _under_heads_of(
            jax.random.key_data(address(context.key, "ntk", context.step)), context
        )


class FixedNtk(guesses.FixedNtk):
    """The section with its losses."""

    def guide(self, context: Context) -> Guide:
        """The local losses under the heads as they were initialised."""
        return _under_heads_of(context.key, context)


class Jacobian(guesses.Jacobian):
    """The section with its losses.

    Singhal et al. 2023 (arXiv 2312.04709): gradients lie in the row space of the Jacobian of what
    follows, which is of lower dimension than the space itself.
    """

    def guide(self, context: Context) -> Guide:
        """A random direction at the next block's output, pulled back through that block."""

        def losses(site: Site, x: Any, others: Any = None) -> Float[Array, " n"]:
            name = f"jacobian/{site.block}"
            direction = context.noise({name: x.shape}, 0)[name]
            return (x * direction).reshape(len(x), -1).sum(1)

        pairs = itertools.pairwise(context.plan.network.blocks)
        segments = tuple(Segment(pair, (Site("output", pair[1].name),)) for pair in pairs)
        return Guide(segments, losses, first=True)


def guided(
    guess: Guess, space: Space, context: Context, inputs: Params
) -> dict[str, Float[Array, "..."]]:
    """The guess at everything that a space perturbs, by name; none where nothing guides it.

    Args:
        guess: made from the network.
        space: whose arrays it is for.
        context: of the step.
        inputs: of every block, by block.
    """
    guide, blocks = working(guess).guide(context), context.params["blocks"]
    gradients: dict[str, Any] = {}
    for segment in guide.segments:
        guided_blocks = {block.name for block in segment.blocks[: 1 if guide.first else None]}
        passing = Passing(space, (segment,), blocks, inputs, guide.losses)
        for path, gradient in signals(passing).items():
            if path.split("/")[0] in guided_blocks:
                gradients[path] = (
                    jnp.add(gradients[path], gradient) if path in gradients else gradient
                )
    return gradients
