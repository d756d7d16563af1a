"""Segments: chains of blocks between which no gradient passes, and the losses inside each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compiler.named_arrays.axes import Axis
from compiler.network.block import Block


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


# An estimator along noise then needs to know one loss at the end of one chain, and nothing more.
def one_loss_each(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments with the same sum of gradients of which each has its only loss at its end."""
    for segment in segments:
        names = [block.name for block in segment.blocks]
        for site in segment.sites:
            yield Segment(segment.blocks[: names.index(site.block) + 1], (site,))
