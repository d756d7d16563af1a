"""Credit routes: which copies of a loss an element of a layer answers for.

A route follows from named axes alone. An element at index i of an axis answers for the loss
copies at index i of that axis, as long as nothing between the element and the loss mixes the
axis; otherwise it answers for all copies along it, and the copies' derivatives are summed.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from compiler.axes import ACTIVATION, Axis
from compiler.gradient.segment import Segment
from compiler.network.layers import LINEARS, Layer, Norm, ParamSpec
from compiler.network.network import layer_path

Credit = Literal["influenced", "paper"]


class _Operation(NamedTuple):
    """One operation of a chain: `name` is the layer whose linear map or tap it is."""

    kind: Literal["norm", "linear", "tap"]
    name: str
    mixes: frozenset[Axis]


def _normalization(norm: Norm | None) -> Iterator[_Operation]:
    if norm is not None:
        yield _Operation("norm", "", frozenset(norm.over))


def _operations(segment: Segment, readout: Norm | None) -> Iterator[_Operation]:
    for block in segment.blocks:
        for layer in block.layers:
            path = layer_path(block, layer)
            yield from _normalization(layer.before)
            yield _Operation("linear", path, LINEARS[layer.kind].mixes)
            yield from _normalization(layer.after)
            yield _Operation("tap", path, frozenset())
    yield from _normalization(readout)


def _mixed_after(
    segment: Segment, readout: Norm | None, start: tuple[str, str], credit: Credit
) -> frozenset[Axis]:
    chain = list(_operations(segment, readout))
    position = next(i for i, op in enumerate(chain) if (op.kind, op.name) == start)
    counted = [op for op in chain[position + 1 :] if op.kind != "norm" or credit == "influenced"]
    return frozenset(axis for op in counted for axis in op.mixes)


def activation_route(
    segment: Segment, readout: Norm | None, path: str, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which the pre-activations of a layer answer for their own copies.

    Args:
        segment: the chain, with one site at its end.
        readout: the normalization between the last block and the loss.
        path: `block/layer`.
        credit: `paper` leaves out what normalizations mix.
    """
    mixed = _mixed_after(segment, readout, ("tap", path), credit)
    return tuple(axis for axis in ACTIVATION[:3] if axis not in mixed)


def weight_route(
    segment: Segment, readout: Norm | None, path: str, spec: ParamSpec, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which a weight answers for its own copies; see `activation_route`.

    `paper`: the group axis only, disregarding normalizations.
    """
    mixed = _mixed_after(segment, readout, ("linear", path), credit)
    own = {"group"} if credit == "paper" else set(spec.axes)
    return tuple(axis for axis in ACTIVATION[:3] if axis in spec.axes and axis in own - mixed)


def paper_route_is_biased(
    segment: Segment, readout: Norm | None, layer: Layer, path: str, space: str
) -> bool:
    """Whether the paper's route of a layer leaves out loss copies that its elements move."""
    copies = set(segment.sites[-1].axes)
    specs = LINEARS[layer.kind].params(layer).values()
    routes = [
        [weight_route(segment, readout, path, spec, credit) for spec in specs]
        if space == "weight"
        else [activation_route(segment, readout, path, credit)]
        for credit in ("paper", "influenced")
    ]
    pairs = zip(*routes, strict=True)
    return any(not copies & set(paper) <= set(influenced) for paper, influenced in pairs)
