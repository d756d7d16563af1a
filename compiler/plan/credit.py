"""Credit routes: which copies of a loss an element of a layer answers for.

A route follows from named axes alone. An element at index i of an axis answers for the loss
copies at index i of that axis, as long as nothing between the element and the loss mixes the
axis; otherwise it answers for all copies along it, and the copies' derivatives are summed. So
weight and activation perturbation stay unbiased under normalizations that couple groups or
examples, and a weight that mixes tokens takes the copies of its own output patch only, which has
less variance than taking all.
"""

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.network.network import every_layer, layer_path
from compiler.network.norms import Norm
from compiler.network.shapes import Layer
from compiler.plan.segment import Segment
from fgspec.spec.shapes import INPUT, ParamSpec
from fgspec.spec.spaces import Credit


def _over(norm: Norm | None, credit: Credit) -> frozenset[Axis]:
    """What a normalization mixes, as far as the credit counts normalizations."""
    return norm.mixes if norm is not None and credit == "influenced" else frozenset()


def _mixed_after(
    segment: Segment, readout: frozenset[Axis], credit: Credit
) -> dict[str, frozenset[Axis]]:
    """The axes mixed between the output of every layer and the loss, by `block/layer`.

    An output is mixed by all that reads it, directly or through other layers.
    """
    found: dict[str, frozenset[Axis]] = {}
    below: frozenset[Axis] = readout if credit == "influenced" else frozenset()
    for block in reversed(segment.blocks):
        sources = block.sources()
        mixed = dict.fromkeys((INPUT, *sources), frozenset[Axis]())
        mixed[block.layers[-1].name] = below
        for layer in reversed(block.layers):
            after = found[layer_path(block, layer)] = mixed[layer.name]
            for name in layer.adds:
                mixed[name] |= after
            own = layer.mixes()
            norms = _over(layer.before, credit) | _over(layer.after, credit)
            mixed[sources[layer.name]] |= after | own | norms
        below = mixed[INPUT]
    return found


def activation_route(
    segment: Segment, readout: frozenset[Axis], path: str, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which the pre-activations of a layer answer for their own copies.

    Args:
        segment: the chain, with one site at its end.
        readout: the axes that normalizations between the last block and the loss mix.
        path: `block/layer`.
        credit: `paper` leaves out what normalizations mix.
    """
    mixed = _mixed_after(segment, readout, credit)[path]
    return tuple(axis for axis in ACTIVATION[:3] if axis not in mixed)


def weight_route(
    segment: Segment, readout: frozenset[Axis], path: str, spec: ParamSpec, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which a weight answers for its own copies; see `activation_route`.

    `paper`: the group axis only, disregarding normalizations.
    """
    mixed = _mixed_after(segment, readout, credit)[path]
    if spec.role in ("weight", "bias"):
        mixed |= _over(dict(every_layer(segment.blocks))[path].after, credit)
    own = {"group"} if credit == "paper" else set(spec.axes)
    return tuple(axis for axis in ACTIVATION[:3] if axis in spec.axes and axis in own - mixed)


def paper_route_is_biased(
    segment: Segment, readout: frozenset[Axis], layer: Layer, path: str, of_weights: bool
) -> bool:
    """Whether the paper's route of a layer leaves out loss copies that its elements move."""
    copies = set(segment.sites[-1].axes)
    specs = layer.params().values()
    routes = [
        [weight_route(segment, readout, path, spec, credit) for spec in specs]
        if of_weights
        else [activation_route(segment, readout, path, credit)]
        for credit in ("paper", "influenced")
    ]
    pairs = zip(*routes, strict=True)
    return any(not copies & set(paper) <= set(influenced) for paper, influenced in pairs)
