"""The shapes of a chain's layers, and what of them does not fit; no JAX, for `check`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from compiler.network.extent import INPUT, Extent, flat, slid
from fgspec.diagnostics import Problem
from fgspec.spec.architecture import Chain
from fgspec.spec.layer import (
    AveragePoolLayer,
    ConvLayer,
    DenseLayer,
    DepthwiseLayer,
    FullLayer,
    GroupedLayer,
    MaxPoolLayer,
)
from fgspec.spec.structure import divisors, layer_name
from fgspec.yaml12 import Path


class Placed(NamedTuple):
    """A layer of a spec with its name and shapes."""

    layer: Any
    name: str
    start: Extent
    end: Extent


class Misfit(NamedTuple):
    """Why a layer does not fit: the field to change, and what to say."""

    field: str
    message: str


def _dense(layer: DenseLayer, start: Extent) -> Extent | Misfit:
    if layer.channels % layer.groups:
        near = divisors(layer.channels, layer.groups)
        return Misfit("groups", f"must divide {layer.channels} channels; {near}")
    return start.grouped(layer.channels, layer.groups)


def _grouped(layer: GroupedLayer, start: Extent) -> Extent | Misfit:
    if layer.channels % start.groups:
        return Misfit("channels", f"must be a multiple of the {start.groups} groups before it")
    return start.grouped(layer.channels, start.groups)


def _full(layer: FullLayer, start: Extent) -> Extent | Misfit:
    return flat(layer.channels)


def _conv(layer: ConvLayer, start: Extent) -> Extent | Misfit:
    return _window(layer, start.grouped(layer.channels))


def _window(layer: Any, start: Extent) -> Extent | Misfit:
    end = slid(layer.size, layer.stride, start)
    if min(end[:2]) < 1:
        message = f"is larger than the {start.rows}x{start.columns} grid that it slides over"
        return Misfit("size", message)
    return end


def _average_pool(layer: AveragePoolLayer, start: Extent) -> Extent | Misfit:
    if layer.grid[0] > start.rows or layer.grid[1] > start.columns:
        return Misfit("grid", f"must be at most the {start.rows}x{start.columns} grid before it")
    return start.grid(*layer.grid)


_ENDS: dict[type, Callable[[Any, Extent], Extent | Misfit]] = {
    DenseLayer: _dense,
    GroupedLayer: _grouped,
    FullLayer: _full,
    ConvLayer: _conv,
    DepthwiseLayer: _window,
    MaxPoolLayer: _window,
    AveragePoolLayer: _average_pool,
}
"""(layer, shape that enters it) -> the shape that leaves it, or why there is none."""


def laid_out(spec: Chain, image: tuple[int, int, int]) -> tuple[list[list[Placed]], list[Problem]]:
    """Every layer with its shapes, up to the first that does not fit, and why.

    Args:
        spec: whose layers name only earlier layers of their block.
        image: height, width and colours.
    """
    rows, columns = (spec.patches, spec.patches) if spec.patches else image[:2]
    start = Extent(rows, columns, 1, image[0] // rows * (image[1] // columns) * image[2])
    blocks: list[list[Placed]] = []
    for index, layers in enumerate(spec.blocks):
        block, problems = _block(layers, start, ("architecture", "blocks", index))
        blocks.append(block)
        if problems:
            return blocks, problems
        start = block[-1].end
    return blocks, []


def _block(layers: tuple[Any, ...], start: Extent, at: Path) -> tuple[list[Placed], list[Problem]]:
    extents, last, block = {INPUT: start}, INPUT, list[Placed]()
    for index, layer in enumerate(layers):
        entering = extents[layer.source or last]
        end = _ENDS[type(layer)](layer, entering)
        if isinstance(end, Misfit):
            return block, [Problem((*at, index, end.field), end.message)]
        for place, name in enumerate(layer.adds):
            if extents[name] != end:
                message = (
                    f"has the shape {_shape(extents[name])}, but the layer gives {_shape(end)}"
                )
                return block, [Problem((*at, index, "adds", place), message)]
        last = layer_name(layer, index)
        extents[last] = end
        block.append(Placed(layer, last, entering, end))
    return block, []


def _shape(extent: Extent) -> str:
    return f"{extent.rows}x{extent.columns} of {extent.groups}x{extent.channels}"
