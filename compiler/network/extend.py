"""Layers made from the shape that enters them: one function a kind."""

from typing import Any

from compiler.network.extent import Extent, flat, slid
from compiler.network.norms import Norm
from compiler.network.shapes import Layer


def conv(name: str, start: Extent, channels: int, norm: Norm | None, **options: Any) -> Layer:
    """A convolution, 3x3 unless `options` say otherwise; it has a bias if no norm follows."""
    own = {"size": 3, "stride": 1, "bias": norm is None, **options}
    end = slid(own["size"], own["stride"], start).grouped(channels)
    return Layer(name, "conv", start, end, after=norm, **own)


def normalized(name: str, start: Extent, norm: Norm | None, **options: Any) -> Layer:
    """A normalization by itself."""
    return Layer(name, "identity", start, start, after=norm, activation="none", **options)


def averaging(name: str, start: Extent, grid: tuple[int, int] = (1, 1), **options: Any) -> Layer:
    """Averages over equal parts of the grid."""
    end = start.grid(*grid)
    return Layer(name, "average_pool", start, end, **{"activation": "none", **options})


def largest(name: str, start: Extent, size: int, stride: int, **options: Any) -> Layer:
    """Max pooling."""
    end, more = slid(size, stride, start), {"activation": "none", **options}
    return Layer(name, "max_pool", start, end, size=size, stride=stride, **more)


def full(name: str, start: Extent, channels: int, **options: Any) -> Layer:
    """A linear map of everything; by default the last layer of a readout."""
    return Layer(name, "full", start, flat(channels), **{"activation": "none", **options})
