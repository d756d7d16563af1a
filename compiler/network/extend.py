"""Functions that make one layer each, given the shape of its input."""

from dataclasses import replace
from typing import Any

from compiler.network.activations import NoActivation
from compiler.network.norms import Norm
from compiler.network.shapes import Layer
from fgspec.spec import layers
from fgspec.spec.kinds import working
from fgspec.spec.shapes import Extent


def conv(
    name: str,
    start: Extent,
    channels: int,
    norm: Norm | None,
    size: int = 3,
    stride: int = 1,
    **options: Any,
) -> Layer:
    """A convolution; it has a bias unless a normalization follows."""
    kind = working(layers.ConvLayer(channels=channels, size=size, stride=stride))
    return Layer(name, kind, start, after=norm, **{"bias": norm is None, **options})


def normalized(name: str, start: Extent, norm: Norm | None, **options: Any) -> Layer:
    """A layer that only normalizes."""
    kind = working(layers.IdentityLayer())
    return Layer(name, kind, start, after=norm, activation=NoActivation(), **options)


def averaging(name: str, start: Extent, grid: tuple[int, int] = (1, 1), **options: Any) -> Layer:
    """Average pooling to a grid of so many rows and columns."""
    kind = working(layers.AveragePoolLayer(grid=grid))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def largest(name: str, start: Extent, size: int, stride: int, **options: Any) -> Layer:
    """Max pooling with square windows."""
    kind = working(layers.MaxPoolLayer(size=size, stride=stride))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def full(name: str, start: Extent, channels: int, **options: Any) -> Layer:
    """A linear map of all positions and channels; without an activation unless one is given."""
    kind = working(layers.FullLayer(channels=channels))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def giving(layer: Layer, channels: int) -> Layer:
    """A layer that `full` made, with another number of outputs."""
    return replace(layer, kind=working(layers.FullLayer(channels=channels)))
