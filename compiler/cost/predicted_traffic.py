"""Predicts from shapes how many bytes devices send each other in an update.

Along the mesh axis `data`, devices sum over examples: gradients, or if weights are perturbed only
the derivatives along noise. Along the axis `group`, layers that mix groups gather their inputs and
tangents, and sum the errors that go backward. With noise on pre-activations there are no such
errors.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from compiler.cost.pipeline_stages import stages
from compiler.cost.updates_per_call import calls_of
from compiler.named_arrays.axes import ACTIVATION, Axis
from compiler.named_arrays.paths import flatten
from compiler.network.block import is_trained
from compiler.network.network import every_layer
from compiler.network.shapes import Layer
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from compiler.plan.sharding import Layout, layout_of
from fgspec.spec.estimators import Exact
from fgspec.spec.shapes import INPUT, ParamSpec

Traffic = Counter[tuple[str, str]]
"""Bytes that each device sends, by (collective, axes of the mesh)."""


def sent(kind: str, size: float, devices: int) -> int:
    """The bytes that each device in a ring sends.

    Args:
        kind: the collective.
        size: the bytes of its result on a device; for a reduce-scatter, of its argument.
        devices: the number of devices in the ring.
    """
    share = (devices - 1) / devices
    return round({"all-reduce": 2 * share, "collective-permute": 1.0}.get(kind, share) * size)


FLOAT = 4.0
"""Bytes of a float32 number."""


def moments_of(plan: Plan) -> int:
    """The number of arrays that the optimizer keeps for each parameter."""
    return plan.experiment.optimizer.arrays


Message = tuple[str, str, float]
"""(collective, axes of the mesh, bytes of its result on a device)."""


def varying(segment: Segment) -> list[Layer]:
    """The layers whose input depends on parameters of the segment, so that it has a derivative."""
    varying_layers, varies = [], False
    for block in segment.blocks:
        depends, sources = {INPUT: varies}, block.sources()
        for layer in block.layers:
            input_varies = depends[sources[layer.name]]
            varying_layers += [layer] if input_varies else []
            depends[layer.name] = (
                input_varies or is_trained(layer) or any(depends[name] for name in layer.adds)
            )
        varies = depends[block.layers[-1].name]
    return varying_layers


def predicted_traffic(plan: Plan) -> Traffic:
    """The bytes that each device sends in an update, by collective and axes of the mesh.

    Where updates differ in which gradient they take, this is the mean over all updates of the run.
    """
    layout = layout_of(plan.experiment.mesh)
    sizes, mean = dict(layout.sizes), dict[tuple[str, str], float]()
    for share, taken in _gradients_taken(plan):
        for messages in (_gradients, _activations, _readouts, _stages):
            for kind, axes, size in messages(taken, layout):
                devices = prod(sizes[axis] for axis in axes.split(","))
                if devices > 1 and size:
                    bytes_sent = share * sent(kind, size, devices)
                    mean[kind, axes] = mean.get((kind, axes), 0.0) + bytes_sent
    return Traffic({key: round(size) for key, size in mean.items()})


def _gradients_taken(plan: Plan) -> Iterator[tuple[float, Plan]]:
    """For every gradient that updates take, their share of all updates, and its plan."""
    if plan.fixed is not None:
        phase, exact = plan.fixed
        own = plan.phases[phase][1] if plan.phases else plan
        yield 1.0, _exact(own) if exact else own
        return
    lasting = sum(len(span) for span, _ in plan.phases)
    for share, own in [(len(span) / lasting, own) for span, own in plan.phases] or [(1.0, plan)]:
        every = own.experiment.gradient.exact_every
        exactly = 0.0 if every is None else 1 / every
        yield share * (1 - exactly), own
        if exactly:
            yield share * exactly, _exact(own)


def _exact(plan: Plan) -> Plan:
    """The plan of the exact gradient of a plan's target."""
    as_exact = {"estimator": Exact(), "perturbation": None, "exact_every": None}
    gradient = plan.experiment.gradient.model_copy(update=as_exact)
    experiment = plan.experiment.model_copy(update={"gradient": gradient, "phases": ()})
    segments = tuple(plan.target.segments(plan.units))
    return replace(plan, experiment=experiment, segments=segments)


def on_each(layout: Layout, axes: Sequence[Axis | None], shape: tuple[int, ...]) -> float:
    """The bytes on a device of an array that is split by its named axes."""
    sizes = dict(layout.sizes)
    all_axes = (*axes, *(None,) * (len(shape) - len(axes)))
    split = prod(sizes[axis] for axis in layout.split(all_axes, shape) if axis is not None)
    return FLOAT * prod(shape) / split


def _gradients(plan: Plan, layout: Layout) -> Iterator[Message]:
    """Sums over examples: of gradients, or of derivatives along noise on weights."""
    weights = plan.moves_together and plan.space.of_weights and not plan.space.rows
    for path, spec in flatten(plan.parameters()).items():
        if path.startswith("blocks/") and weights:
            continue
        size = on_each(layout, spec.axes, spec.shape)
        yield "all-reduce", "data", size / (_parts(plan, layout, spec) if _reads(path, spec) else 1)
    for segment in plan.segments if weights else ():
        for element in plan.perturbed(segment).values():
            sized = zip(element.shape, element.axes, strict=True)
            copies = prod(size for size, axis in sized if axis in element.route)
            yield "all-reduce", "data", FLOAT * samples_of(plan) * copies


def _reads(path: str, spec: ParamSpec) -> bool:
    """Whether a parameter multiplies the features of all groups."""
    return not path.startswith("blocks/") and spec.role == "weight"


def _parts(plan: Plan, layout: Layout, spec: ParamSpec) -> int:
    """The number of parts in which the new weight of a readout is computed, as its features are."""
    size, groups = dict(layout.sizes)["group"], plan.network.blocks[-1].end.features[1]
    split = "group" in layout.split(ACTIVATION, (1, 1, groups, 1))
    return size if split and spec.shape[0] % size == 0 else 1


def samples_of(plan: Plan) -> int:
    """The number of perturbations whose tangents go through the network in an update."""
    perturbation = plan.perturbation
    return perturbation.samples if perturbation is not None and not perturbation.projects else 0


def _activations(plan: Plan, layout: Layout) -> Iterator[Message]:
    """What blocks send across groups: inputs, tangents, errors, and sums of normalizations."""
    layers_alone = plan.estimator.isolates_layers
    clean = 1 / plan.rows_each if plan.reads_clean else 0.0
    noise_at_once = plan.moves_together
    pulled = layers_alone or (noise_at_once and plan.space.layerwise)
    for _, layer in every_layer(plan.network.blocks):
        yield "all-gather", "group", _mixed(plan, layout, layer) * (1 + clean)
        # A normalization sends three values: the first number, the mean and the variance.
        yield "all-reduce", "group", _moments(plan, layout, layer) * 3 * (1 + clean + pulled)
        if not noise_at_once or not plan.space.of_weights:
            yield "all-reduce", "group", _shared(plan, layout, layer)
    errors = not noise_at_once and not layers_alone
    for segment in plan.segments:
        for layer in varying(segment):
            mixed, moments = _mixed(plan, layout, layer), 2 * _moments(plan, layout, layer)
            yield "all-gather", "group", mixed * samples_of(plan)
            yield "all-reduce", "group", moments * samples_of(plan)
            if errors:
                yield "all-reduce", "group", mixed + moments


def _mixed(plan: Plan, layout: Layout, layer: Layer) -> float:
    """The bytes of a layer's input with all groups on a device; 0 if groups are not mixed."""
    if "group" not in layer.mixes():
        return 0.0
    return _whole(plan, layout, layer.inputs)


def _whole(plan: Plan, layout: Layout, features: tuple[int, int, int]) -> float:
    """The bytes of features with all groups on a device; 0 if they are not split over groups."""
    shape = (plan.rows, *features)
    if "group" not in layout.split(ACTIVATION, shape):
        return 0.0
    return on_each(layout, ACTIVATION, shape) * dict(layout.sizes)["group"]


def _moments(plan: Plan, layout: Layout, layer: Layer) -> float:
    """The bytes of a sum over groups in the normalizations of a layer."""
    size = 0.0
    for norm, features in ((layer.before, layer.inputs), (layer.after, layer.outputs)):
        if norm is not None and "group" in norm.over and _whole(plan, layout, features):
            size += on_each(layout, ACTIVATION, (plan.rows, *norm.shape(features)[1:]))
    return size


def _shared(plan: Plan, layout: Layout, layer: Layer) -> float:
    """The bytes of the gradient, per example, of weights that all groups share."""
    if not _whole(plan, layout, layer.outputs):
        return 0.0
    sizes = (
        on_each(layout, ("batch", *spec.axes), (plan.rows, *spec.shape))
        for spec in layer.map_params().values()
        if spec.role == "weight" and "group" not in spec.axes
    )
    return sum(sizes, 0.0)


def _readouts(plan: Plan, layout: Layout) -> Iterator[Message]:
    """Outputs of readouts are summed over groups, and their new weights are gathered."""
    kept = 1 + moments_of(plan)
    devices = "data,group" if dict(layout.sizes)["data"] > 1 else "group"
    rows = on_each(layout, ("batch",), (plan.rows,))
    for path, spec in flatten(plan.parameters()).items():
        if _reads(path, spec) and _parts(plan, layout, spec) > 1:
            yield "all-gather", devices, kept * FLOAT * prod(spec.shape)
            yield "all-reduce", "group", rows * spec.shape[-1]
    for segment in (
        plan.segments if _whole(plan, layout, plan.network.blocks[-1].end.features) else ()
    ):
        for site in segment.sites:
            outputs = sum(map(prod, plan.readout(site).shapes))
            yield "all-reduce", "group", rows * outputs * (1 + samples_of(plan))


def _stages(plan: Plan, layout: Layout) -> Iterator[Message]:
    """Stages send features at every tick, and new parameters to all at the end of a call."""
    steps, spans = calls_of(plan).steps, stages(plan)
    if len(spans) == 1:
        return
    widest = max(prod(plan.units[span.stop - 1][0][-1].end.features) for span in spans)
    features = on_each(layout, ("batch",), (plan.rows, widest))
    yield "collective-permute", "stage", features * (steps + len(spans) - 1) / steps
    kept = 1 + moments_of(plan)
    for spec in flatten(plan.parameters()).values():
        yield "all-reduce", "stage", kept * on_each(layout, spec.axes, spec.shape) / steps
