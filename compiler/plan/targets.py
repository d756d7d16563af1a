"""Targets as segments: which chains of blocks learn from which losses."""

import itertools
from collections.abc import Iterator, Sequence

from compiler.network.block import Block
from compiler.plan.segment import Segment, Unit
from fgspec.spec import targets


def _chain(units: Sequence[Unit]) -> tuple[Block, ...]:
    return tuple(block for blocks, _ in units for block in blocks)


class Global(targets.Global):
    """One segment: all blocks and the last loss."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """The whole network."""
        yield Segment(_chain(units), (units[-1][1],))


class Local(targets.Local):
    """A segment for every unit."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """Every unit by itself."""
        for blocks, site in units:
            yield Segment(blocks, (site,))


class Above(targets.Above):
    """Neighbouring units in pairs, which overlap."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """The first unit, then every pair by the loss of its second."""
        yield Segment(units[0][0], (units[0][1],))
        for before, last in itertools.pairwise(units):
            yield Segment(_chain((before, last)), (last[1],))


class Sum(targets.Sum):
    """All blocks, and every loss."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """The whole network with all of its losses."""
        yield Segment(_chain(units), tuple(site for _, site in units))
