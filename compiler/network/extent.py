"""The shapes of activations as plain numbers; no JAX, so that `check` is quick."""

from typing import NamedTuple

INPUT = "input"
"""Names the input of a block where its layers are named."""


class Extent(NamedTuple):
    """How far an activation extends: positions in a grid, row by row, and channels in groups."""

    rows: int
    columns: int
    groups: int
    channels: int

    @property
    def features(self) -> tuple[int, int, int]:
        """The shape [p, g, c] of one example."""
        return (self.rows * self.columns, self.groups, self.channels)

    @property
    def width(self) -> int:
        """All channels of a position."""
        return self.groups * self.channels

    def grid(self, rows: int, columns: int) -> "Extent":
        """With another grid."""
        return self._replace(rows=rows, columns=columns)

    def grouped(self, width: int, groups: int = 1) -> "Extent":
        """With other channels, in equal groups."""
        return self._replace(groups=groups, channels=width // groups)


def flat(channels: int) -> Extent:
    """One position, one group."""
    return Extent(1, 1, 1, channels)


def slid(size: int, stride: int, start: Extent) -> Extent:
    """The places of a window that slides over a grid, (size - 1) // 2 beyond its edges."""
    padded = 2 * ((size - 1) // 2) - size
    rows, columns = ((side + padded) // stride + 1 for side in start[:2])
    return start.grid(rows, columns)
