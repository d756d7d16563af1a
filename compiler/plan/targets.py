"""Targets: which chains of blocks learn from which losses, as segments."""

import itertools
from collections.abc import Iterator, Sequence

from compiler.network.block import Block
from compiler.plan.segment import Segment, Unit
from fgspec.spec import targets


def _chain(units: Sequence[Unit]) -> tuple[Block, ...]:
    return tuple(block for blocks, _ in units for block in blocks)


class Global(targets.Global):
    """All blocks learn from the final loss."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """One segment: the whole network with its final loss."""
        yield Segment(_chain(units), (units[-1][1],))


class Local(targets.Local):
    """Every unit learns from the loss at its own end."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """One segment per unit."""
        for blocks, site in units:
            yield Segment(blocks, (site,))


class Above(targets.Above):
    """Every unit learns from its own loss and the loss of the next unit."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """The first unit, then each pair of neighbours with the loss of the second one."""
        yield Segment(units[0][0], (units[0][1],))
        for before, last in itertools.pairwise(units):
            yield Segment(_chain((before, last)), (last[1],))


class Sum(targets.Sum):
    """Every unit learns from its own loss and all later ones."""

    def segments(self, units: Sequence[Unit]) -> Iterator[Segment]:
        """One segment: the whole network with all of its losses."""
        yield Segment(_chain(units), tuple(site for _, site in units))
