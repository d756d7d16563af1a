"""Layers made from the shape that enters them."""

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
    """A convolution; it has a bias if no norm follows."""
    kind = working(layers.ConvLayer(channels=channels, size=size, stride=stride))
    return Layer(name, kind, start, after=norm, **{"bias": norm is None, **options})


def normalized(name: str, start: Extent, norm: Norm | None, **options: Any) -> Layer:
    """A normalization by itself."""
    kind = working(layers.IdentityLayer())
    return Layer(name, kind, start, after=norm, activation=NoActivation(), **options)


def averaging(name: str, start: Extent, grid: tuple[int, int] = (1, 1), **options: Any) -> Layer:
    """Averages over equal parts of the grid."""
    kind = working(layers.AveragePoolLayer(grid=grid))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def largest(name: str, start: Extent, size: int, stride: int, **options: Any) -> Layer:
    """Max pooling."""
    kind = working(layers.MaxPoolLayer(size=size, stride=stride))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def full(name: str, start: Extent, channels: int, **options: Any) -> Layer:
    """A linear map of everything; by default the last layer of a readout."""
    kind = working(layers.FullLayer(channels=channels))
    return Layer(name, kind, start, **{"activation": NoActivation(), **options})


def giving(layer: Layer, channels: int) -> Layer:
    """A layer that `full` made, with other outputs."""
    return replace(layer, kind=working(layers.FullLayer(channels=channels)))
