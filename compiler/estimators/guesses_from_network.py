"""Guesses made from the network: gradients of other losses with respect to the same arrays."""

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
    """The losses whose gradient is the guess.

    Attributes:
        segments: the chains of blocks that these losses are at the end of; they may overlap.
        losses: the copies of a site's loss, from its features.
        first: whether only the first block of each segment uses the gradient.
    """

    segments: tuple[Segment, ...]
    losses: Losses
    first: bool = False


def _of_target(target: Target, context: Context) -> Guide:
    segments = tuple(working(target).segments(context.plan.units))
    return Guide(segments, site_losses(context.plan, context.params, {}, context.targets))


def _under_heads_of(key: KeyData, context: Context) -> Guide:
    """The local losses of heads that are drawn from `key`.

    These heads are not parameters: nothing trains or decays them, and no checkpoint holds them.
    """
    plan = context.plan
    heads = initialize({"heads": plan.heads()}, key, plan.network.initialization)
    losses = site_losses(plan, {**context.params, **heads}, {}, context.targets)
    return Guide(tuple(working(targets.Local()).segments(plan.units)), losses)


class LocalGuess(guesses.LocalGuess):
    """The gradient of each block's own local loss."""

    def guide(self, context: Context) -> Guide:
        """The local losses."""
        return _of_target(targets.Local(), context)


class GlobalGuess(guesses.GlobalGuess):
    """The gradient of the final loss, through all later blocks."""

    def guide(self, context: Context) -> Guide:
        """The final loss."""
        return _of_target(targets.Global(), context)


class AboveGuess(guesses.AboveGuess):
    """The gradient of a block's own local loss plus that of the next block."""

    def guide(self, context: Context) -> Guide:
        """For each block, its own local loss and that of the next block."""
        return _of_target(targets.Above(), context)


class Ntk(guesses.Ntk):
    """The gradient of local losses whose heads are drawn anew in every step and never trained."""

    def guide(self, context: Context) -> Guide:
        """The local losses of heads that are drawn for this step."""
        return _under_heads_of(
            jax.random.key_data(address(context.key, "ntk", context.step)), context
        )


class FixedNtk(guesses.FixedNtk):
    """The gradient of local losses whose heads keep their initial weights."""

    def guide(self, context: Context) -> Guide:
        """The local losses of the heads with their initial weights."""
        return _under_heads_of(context.key, context)


class Jacobian(guesses.Jacobian):
    """A random direction at the next block's output, pulled back through that block.

    Gradients lie in the row space of the next block's Jacobian, which has fewer dimensions than the
    space itself (Singhal et al. 2023, arXiv 2312.04709).
    """

    def guide(self, context: Context) -> Guide:
        """Linear losses, whose gradient at the next block's output is the random direction."""

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
    """The guess for every array that a space perturbs, by name.

    A name is missing where the guess has no loss, such as after the last block for `jacobian`.

    Args:
        guess: a guess that is made from the network.
        space: the space.
        context: the step.
        inputs: the input of every block, by block.
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
