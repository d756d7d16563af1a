"""Segments: chains of blocks between which no gradient passes, and the losses inside each."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float

from compiler.axes import Axis
from compiler.network.network import Block, Trace


@dataclass(frozen=True)
class Site:
    """One loss.

    Attributes:
        name: `final`, or the block it follows.
        block: the block whose features it reads.
        axes: the axes of its copies; ("batch",) when it is not replicated.
    """

    name: str
    block: str
    axes: tuple[Axis, ...] = ("batch",)


@dataclass(frozen=True)
class Segment:
    """Blocks that share a gradient, and the losses that give it."""

    blocks: tuple[Block, ...]
    sites: tuple[Site, ...]


Unit = tuple[tuple[Block, ...], Site]
"""A chain of blocks and the loss that closes it."""


def _chain(units: Sequence[Unit]) -> tuple[Block, ...]:
    return tuple(block for blocks, _ in units for block in blocks)


def _own(units: Sequence[Unit]) -> Iterator[Segment]:
    for blocks, site in units:
        yield Segment(blocks, (site,))


def _next_too(units: Sequence[Unit]) -> Iterator[Segment]:
    yield Segment(units[0][0], (units[0][1],))
    for before, last in itertools.pairwise(units):
        yield Segment(_chain((before, last)), (last[1],))


def _downstream(units: Sequence[Unit]) -> Iterator[Segment]:
    yield Segment(_chain(units), tuple(site for _, site in units))


def _last(units: Sequence[Unit]) -> Iterator[Segment]:
    yield Segment(_chain(units), (units[-1][1],))


TARGETS: dict[str, Callable[[Sequence[Unit]], Iterator[Segment]]] = {
    "global": _last,
    "local": _own,
    "above": _next_too,
    "sum": _downstream,
}
"""Segments whose gradients add up to the target's, by `gradient.target`; they may overlap."""


def one_loss_each(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments with the same sum of gradients of which each has its only loss at its end."""
    for segment in segments:
        names = [block.name for block in segment.blocks]
        for site in segment.sites:
            yield Segment(segment.blocks[: names.index(site.block) + 1], (site,))


@runtime_checkable
class Losses(Protocol):
    """The copies of a site's loss, with the axes of the site."""

    def __call__(
        self,
        site: Site,
        x: Float[Array, "n p g c"],
        others: Float[Array, "n p g c"] | None = None,
    ) -> Float[Array, "..."]:
        """From the features `x` after the site's block.

        With `others` every copy has a value of its own: that of its own features from `x` and all
        else from `others`, for finite differences.
        """
        ...


class Estimate(NamedTuple):
    """An estimated gradient and the unperturbed forward pass it was made from.

    Attributes:
        grads: by block, layer and name, of the sum over the sites of the mean loss.
        trace: of the whole segment.
        feedback: backward weights of the next step, where they are learned.
    """

    grads: Mapping[str, Any]
    trace: Trace
    feedback: Mapping[str, Any] | None = None


Noise = Callable[[Mapping[str, tuple[int, ...]], Any], dict[str, Float[Array, "..."]]]
"""(shapes by the names of what is perturbed, sample) -> the perturbations by name."""
