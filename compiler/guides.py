"""Guesses made from the network (Fournier et al. 2023): one function and one table row each."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from compiler.gradient.along import Passing
from compiler.gradient.projected import signals
from compiler.gradient.segment import TARGETS, Losses, Noise, Segment, Site
from compiler.losses.sites import site_losses
from compiler.network.initialize import initialize
from compiler.noise import KeyData, address
from compiler.plan import Plan

Params = Mapping[str, Any]


class Source(NamedTuple):
    """What guesses are made from at one step.

    Attributes:
        plan: the plan.
        params: the whole state's.
        labels: of the examples.
        key: raw key of the run.
        step: of the run.
        noise: perturbations by shapes and sample.
    """

    plan: Plan
    params: Params
    labels: Int[Array, " n"]
    key: KeyData
    step: Int[Array, ""]
    noise: Noise


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


def _target(name: str, source: Source) -> Guide:
    segments = tuple(TARGETS[name](source.plan.units))
    return Guide(segments, site_losses(source.plan, source.params, {}, source.labels))


def _under(source: Source, key: KeyData) -> Guide:
    """The local losses under heads drawn from `key`."""
    how = source.plan.network.initialization
    heads = initialize({"heads": source.plan.heads()}, key, how)
    losses = site_losses(source.plan, {**source.params, **heads}, {}, source.labels)
    return Guide(tuple(TARGETS["local"](source.plan.units)), losses)


def _ntk(source: Source) -> Guide:
    return _under(source, jax.random.key_data(address(source.key, "ntk", source.step)))


def _fixed_ntk(source: Source) -> Guide:
    return _under(source, source.key)


def _jacobian(source: Source) -> Guide:
    """A random direction at the next block's output, pulled back through that block.

    Singhal et al. 2023 (arXiv 2312.04709): gradients lie in the row space of the Jacobian of what
    follows, which is of lower dimension than the space itself.
    """

    def losses(site: Site, x: Any, others: Any = None) -> Float[Array, " n"]:
        name = f"jacobian/{site.block}"
        direction = source.noise({name: x.shape}, 0)[name]
        return (x * direction).reshape(len(x), -1).sum(1)

    blocks = source.plan.network.blocks
    pairs = itertools.pairwise(blocks)
    segments = tuple(Segment(pair, (Site("output", pair[1].name),)) for pair in pairs)
    return Guide(segments, losses, first=True)


GUIDES: dict[str, Callable[[Source], Guide]] = {
    "local": lambda source: _target("local", source),
    "global": lambda source: _target("global", source),
    "above": lambda source: _target("above", source),
    "ntk": _ntk,
    "fixed_ntk": _fixed_ntk,
    "jacobian": _jacobian,
}
"""By `gradient.perturbation.guess.type` and `gradient.perturbation.control_variate`."""


def guided(name: str, space: str, source: Source, inputs: Params) -> dict[str, Float[Array, "..."]]:
    """The guess at everything that a space perturbs, by name; none where nothing guides it.

    Args:
        name: a row of `GUIDES`.
        space: a row of `SPACES`.
        source: what it is made from.
        inputs: of every block, by block.
    """
    guide, blocks = GUIDES[name](source), source.params["blocks"]
    total: dict[str, Any] = {}
    for segment in guide.segments:
        kept = {block.name for block in segment.blocks[: 1 if guide.first else None]}
        passing = Passing(space, (segment,), blocks, inputs, guide.losses)
        for path, found in signals(passing).items():
            if path.split("/")[0] in kept:
                total[path] = jnp.add(total[path], found) if path in total else found
    return total
