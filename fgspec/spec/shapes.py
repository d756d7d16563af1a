"""The shapes of activations and weights as plain numbers; no JAX, so that `check` is fast."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Axis = Literal["batch", "patch", "group", "channel"]

ACTIVATION: tuple[Axis, ...] = ("batch", "patch", "group", "channel")
"""The axes of every activation, in order: [n, p, g, c]."""

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

    def __str__(self) -> str:
        """`8x8 of 1x3`: the grid, then groups and channels of each."""
        return f"{self.rows}x{self.columns} of {self.groups}x{self.channels}"


class Misfit(NamedTuple):
    """Why a layer does not fit what enters it: its field to change, and what to say."""

    field: str
    message: str


Role = Literal["weight", "bias", "scale", "shift", "average", "embedding"]
"""What a parameter is for, and so how it begins: weights and embeddings are drawn, biases begin as
the initialization says, scales at one, shifts and averages at zero."""


# Parameters are plain nested dictionaries that these declare: the axes are needed where there are
# no arrays yet, and flax's `nnx.Param` would add a wrapper to each array and 30 us to each call.
@dataclass(frozen=True)
class ParamSpec:
    """A parameter before it has numbers.

    Attributes:
        shape: of the array.
        axes: for each dimension its named axis, or None. An element at index i of a named axis
            moves outputs at index i of that axis only.
        fan_in: how many numbers each output of the map sums over; initial weights read it.
        role: a layer's map has weights and biases, and embeddings, which are vectors that it adds:
            neither weight decay nor backward weights concern them. Scales and shifts belong to
            normalizations.
    """

    shape: tuple[int, ...]
    axes: tuple[Axis | None, ...]
    fan_in: int
    role: Role = "weight"


def flat(channels: int) -> Extent:
    """One position, one group."""
    return Extent(1, 1, 1, channels)


def slid(size: int, stride: int, start: Extent) -> Extent:
    """The places of a window that slides over a grid, (size - 1) // 2 beyond its edges."""
    padded = 2 * ((size - 1) // 2) - size
    rows, columns = ((side + padded) // stride + 1 for side in start[:2])
    return start.grid(rows, columns)


def divisors(number: int, near: int) -> str:
    """The divisors of `number` nearest to `near`, as a remedy lists them."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    every = {*small, *(number // d for d in small)}
    found = sorted(sorted(every, key=lambda d: abs(d - near))[:3])
    return f"nearest: {', '.join(map(str, found))}"
