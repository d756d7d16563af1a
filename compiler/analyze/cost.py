"""What one update of a plan costs, from shapes alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from compiler.analyze.elementwise import elementwise_flops, noise_flops
from compiler.gradient.credit import WEIGHTS
from compiler.gradient.projected import members
from compiler.gradient.segment import TARGETS, Segment
from compiler.gradient.spaces import SPACES
from compiler.network.block import is_trained
from compiler.network.network import every_layer
from compiler.network.shapes import Layer
from compiler.plan import Plan
from compiler.trees import flatten
from fgspec.spec.gradient import DIRECT
from fgspec.spec.shapes import INPUT

PARTS = (
    "forward",
    "tangents",
    "weight_gradients",
    "input_gradients",
    "heads",
    "classifier",
    "elementwise",
    "noise",
)
"""Of the FLOPs of an update, as fields of `Cost`."""


@dataclass(frozen=True)
class Cost:
    """Counts of one update over a whole batch.

    Attributes:
        parameters: trained numbers.
        head_parameters: those in the heads of local losses.
        forward: FLOPs of the linear maps of the blocks, forward, clean images included.
        tangents: FLOPs of pushing the perturbations of all samples forward.
        weight_gradients: FLOPs of turning errors or estimates into weight gradients.
        input_gradients: FLOPs of sending errors backward to layers.
        heads: FLOPs of heads, and between rows of a loss, forward and backward.
        classifier: FLOPs of the classifier, forward and backward.
        elementwise: FLOPs of normalizations and activations, forward and differentiated.
        noise: FLOPs of drawing perturbations.
        losses: copies of losses, over the batch.
        perturbed: perturbed numbers, over batch and samples.
    """

    parameters: int
    head_parameters: int
    forward: int
    tangents: int
    weight_gradients: int
    input_gradients: int
    heads: int
    classifier: int
    elementwise: int
    noise: int
    losses: int
    perturbed: int

    @property
    def flops(self) -> int:
        """All FLOPs but those of augmentation and of the optimizer."""
        return sum(getattr(self, part) for part in PARTS)


def layer_flops(layer: Layer, batch: int) -> int:
    """FLOPs of a layer's map, forward, over a batch: two per multiply-add."""
    return batch * layer.flops()


def _flops(layers: Iterable[Layer], batch: int) -> int:
    return sum(layer_flops(layer, batch) for layer in layers)


def varying(segment: Segment) -> list[Layer]:
    """The layers whose input depends on parameters of the segment, and so has a derivative."""
    found, varies = [], False
    for block in segment.blocks:
        depends, sources = {INPUT: varies}, block.sources()
        for layer in block.layers:
            enters = depends[sources[layer.name]]
            found += [layer] if enters else []
            depends[layer.name] = (
                enters or is_trained(layer) or any(depends[name] for name in layer.adds)
            )
        varies = depends[block.layers[-1].name]
    return found


def cost(plan: Plan) -> Cost:
    """Count one update of a plan."""
    examples, rows = plan.experiment.data.batch_size, plan.rows
    layers = [layer for _, layer in every_layer(plan.network.blocks)]
    linear = _flops(layers, rows)
    clean = 0 if plan.objective.answers else linear * examples // rows
    trained = _flops((layer for layer in layers if is_trained(layer)), rows)
    reached = sum(_flops(varying(segment), rows) for segment in plan.segments)
    guided = sum(_flops(varying(segment), rows) for segment in _guides(plan))
    heads = sum(_flops(plan.readout(site).layers, rows) for site in plan.headed_sites())
    pairs = len(plan.headed_sites()) * 4 * rows**2 * _pairwise(plan)
    sizes = {path: prod(spec.shape) for path, spec in flatten(plan.parameters()).items()}
    # What sends errors backward: through the linear maps, or from the outputs to every layer.
    width = 2 * rows * plan.outputs
    direct = sum(width * prod(layer.outputs) for layer in layers if is_trained(layer))
    how, kind = plan.perturbing, plan.experiment.gradient.estimator.type
    moves_weights = how is not None and how.space in WEIGHTS
    pushed = how is not None and how.derivative != "reverse"
    tangents = rows * sum(_group_by_group(plan))
    if kind == "learned_direct_feedback":
        tangents = reached + direct
    elif how is not None and pushed:
        tangents = how.samples * (reached + (trained if moves_weights else 0))
    errors = direct if kind in DIRECT else guided if pushed or tangents else reached + guided
    perturbed = sum(_perturbed(plan, segment) for segment in plan.segments)
    return Cost(
        parameters=sum(sizes.values()),
        head_parameters=sum(size for path, size in sizes.items() if path.startswith("heads/")),
        forward=linear + clean,
        tangents=tangents,
        weight_gradients=0 if pushed and moves_weights else trained,
        input_gradients=errors,
        heads=3 * heads + pairs + _apart(plan),
        classifier=3 * _flops(plan.network.classifier.layers, examples),
        elementwise=elementwise_flops(plan),
        noise=noise_flops(plan, perturbed),
        losses=sum(_copies(plan, segment) for segment in plan.segments),
        perturbed=perturbed,
    )


def _pairwise(plan: Plan) -> int:
    """Multiply-adds between the outputs of any two rows."""
    return 0 if plan.objective.answers else plan.outputs


def _apart(plan: Plan) -> int:
    """FLOPs between rows, forward and pushed, where every copy of a loss is evaluated by itself."""
    how = plan.perturbing
    if how is None or not plan.rows_mixed:
        return 0
    each = (2 + 4 * how.samples) * plan.rows * _pairwise(plan)
    return each * sum(_copies(plan, segment) for segment in plan.segments)


def _group_by_group(plan: Plan) -> Iterator[int]:
    """FLOPs of an example's tangents where each group of what is moved has one of its own.

    It goes through all that stands behind the first that is moved.
    """
    how, perturbation = plan.projecting, plan.experiment.gradient.perturbation
    if how is None or perturbation is None or how.derivative != "forward":
        return
    for segment in plan.segments:
        layers = [layer for block in segment.blocks for layer in block.layers]
        places = [
            f"{block.name}/{layer.name}" for block in segment.blocks for layer in block.layers
        ]
        names = SPACES[perturbation.space].shapes(segment, 1)
        guessed = [name for name in names if name.split("/")[0] not in plan.exact_blocks]
        for moved in members(guessed, how).values():
            first = min(_place(name, places) for name in moved)
            own = perturbation.space in WEIGHTS
            yield how.samples * _flops(layers[first + (not own) :], 1)


def _place(name: str, places: list[str]) -> int:
    """Of the layer that a name such as `block0`, its output, or `block0/dense/w` belongs to."""
    if "/" in name:
        return places.index("/".join(name.split("/")[:2]))
    return max(index for index, place in enumerate(places) if place.startswith(f"{name}/"))


def _guides(plan: Plan) -> Iterator[Segment]:
    """The chains that guesses made from the network send errors through."""
    perturbation = plan.experiment.gradient.perturbation
    for guide in perturbation.guides if perturbation is not None else ():
        own = {"ntk": "local", "fixed_ntk": "local", "jacobian": "above"}.get(guide, guide)
        yield from TARGETS[own](plan.units)


def _copies(plan: Plan, segment: Segment) -> int:
    total = 0
    for site in segment.sites:
        patches, groups, _ = plan.network.block(site.block).end.features
        sizes = {"batch": plan.rows, "patch": patches, "group": groups}
        total += prod(sizes[axis] for axis in site.axes)
    return total


def _perturbed(plan: Plan, segment: Segment) -> int:
    samples = plan.perturbing.samples if plan.perturbing is not None else 0
    return samples * sum(prod(e.shape) for e in plan.perturbed(segment).values())
