"""Credit routes: which copies of a loss an element's gradient estimate uses.

An element is one number of a perturbed array. Its estimate is its noise times the sum of the
derivatives of some copies of the loss. All copies that depend on the element must be in the sum,
or the estimate is biased; any other copy in it only adds variance.

Named axes decide which copies these are. If nothing between the element and the loss mixes an axis,
an element at index i of the axis influences only copies at index i, so its estimate uses only
those. Otherwise it uses all copies along the axis. So estimates stay unbiased under normalizations
that couple groups or examples, and a weight that mixes patches uses only the copies at its own
output patch. The route of an element is the tuple of axes along which it uses only its own copies.
"""

from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.network.network import every_layer, layer_path
from compiler.network.norms import Norm
from compiler.network.shapes import Layer
from compiler.plan.segment import Segment
from fgspec.spec.shapes import INPUT, ParamSpec
from fgspec.spec.spaces import Credit


def _over(norm: Norm | None, credit: Credit) -> frozenset[Axis]:
    """The axes that a normalization mixes; none if the credit disregards normalizations."""
    return norm.mixes if norm is not None and credit == "influenced" else frozenset()


def _mixed_after(
    segment: Segment, readout: frozenset[Axis], credit: Credit
) -> dict[str, frozenset[Axis]]:
    """The axes that are mixed between the output of each layer and the loss, by `block/layer`.

    Every layer that reads an output, directly or through other layers, may mix its axes.
    """
    mixed_behind: dict[str, frozenset[Axis]] = {}
    below: frozenset[Axis] = readout if credit == "influenced" else frozenset()
    for block in reversed(segment.blocks):
        sources = block.sources()
        mixed = dict.fromkeys((INPUT, *sources), frozenset[Axis]())
        mixed[block.layers[-1].name] = below
        for layer in reversed(block.layers):
            after = mixed_behind[layer_path(block, layer)] = mixed[layer.name]
            for name in layer.adds:
                mixed[name] |= after
            by_map = layer.mixes()
            norms = _over(layer.before, credit) | _over(layer.after, credit)
            mixed[sources[layer.name]] |= after | by_map | norms
        below = mixed[INPUT]
    return mixed_behind


def activation_route(
    segment: Segment, readout: frozenset[Axis], path: str, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which a layer's pre-activations use only the loss copies at their own index.

    Args:
        segment: the chain of blocks, with one site at its end.
        readout: the axes that are mixed between the last block and the loss.
        path: `block/layer`.
        credit: `influenced` uses all copies that depend on an element. `paper` disregards
            normalizations, as Ren et al. 2022 do.
    """
    mixed = _mixed_after(segment, readout, credit)[path]
    return tuple(axis for axis in ACTIVATION[:3] if axis not in mixed)


def weight_route(
    segment: Segment, readout: frozenset[Axis], path: str, spec: ParamSpec, credit: Credit
) -> tuple[Axis, ...]:
    """The axes along which a weight uses only the loss copies at its own index.

    The arguments are those of `activation_route`, and the weight's `ParamSpec`. With `paper`, this
    is at most the group axis.
    """
    mixed = _mixed_after(segment, readout, credit)[path]
    if spec.role not in ("scale", "shift"):
        mixed |= _over(dict(every_layer(segment.blocks))[path].after, credit)
    own_axes = {"group"} if credit == "paper" else set(spec.axes)
    return tuple(axis for axis in ACTIVATION[:3] if axis in spec.axes and axis in own_axes - mixed)


def paper_route_is_biased(
    segment: Segment, readout: frozenset[Axis], layer: Layer, path: str, of_weights: bool
) -> bool:
    """Whether the paper's route of a layer leaves out loss copies that depend on its elements."""
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
