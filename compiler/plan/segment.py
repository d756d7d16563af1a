"""Segments: chains of blocks, with the losses whose gradients the blocks learn from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compiler.named_arrays.axes import Axis
from compiler.network.block import Block


@dataclass(frozen=True)
class Site:
    """One loss.

    Attributes:
        name: `final`, or the name of the block before it.
        block: the block whose features it reads.
        axes: the axes of its copies; ("batch",) if it is not replicated.
    """

    name: str
    block: str
    axes: tuple[Axis, ...] = ("batch",)


@dataclass(frozen=True)
class Segment:
    """A chain of blocks, and the losses whose gradient reaches all of them."""

    blocks: tuple[Block, ...]
    sites: tuple[Site, ...]


Unit = tuple[tuple[Block, ...], Site]
"""A chain of blocks and the loss at its end."""


# So an estimator along noise only has to handle one loss at the end of one chain.
def one_loss_each(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments with one loss each, at the end; their gradients have the same sum."""
    for segment in segments:
        names = [block.name for block in segment.blocks]
        for site in segment.sites:
            yield Segment(segment.blocks[: names.index(site.block) + 1], (site,))
