"""What an update would be on devices that need not be here, from shapes alone."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

from compiler.cost.compiled_traffic import Traffic
from compiler.cost.pipeline_stages import utilisation
from compiler.cost.predicted_traffic import moments_of, on_each, predicted_traffic
from compiler.cost.update_flops import update_flops
from compiler.cost.updates_per_call import calls_of
from fgspec.check.mesh import mesh_problems, sizes, with_mesh
from compiler.named_arrays.axes import ACTIVATION
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import Plan
from compiler.plan.sharding import layout_of
from fgspec.show.text import mebibytes, quantity
from fgspec.spec.mesh import AXES

WORTH = 1.1
"""By which twice the devices must be quicker to be worth it."""


class Machine(NamedTuple):
    """What a device does in a second, of what is wanted of it and not at most.

    Attributes:
        flops: FLOPs.
        bandwidth: bytes that it sends.
    """

    flops: float = 1e14
    bandwidth: float = 5e10


class Prediction(NamedTuple):
    """An update on a mesh.

    Attributes:
        state: bytes on each device: parameters, optimizer state, backward weights.
        features: bytes on each device of what is kept of the chain of blocks that is
            differentiated at once.
        traffic: see `predicted_traffic`.
        computing: seconds.
        sending: seconds, none of them hidden behind computing.
    """

    state: float
    features: float
    traffic: Traffic
    computing: float
    sending: float

    @property
    def seconds(self) -> float:
        """Of an update."""
        return self.computing + self.sending


def predict(plan: Plan, machine: Machine) -> Prediction:
    """An update of a plan on its own mesh."""
    traffic = predicted_traffic(plan)
    busy = prod(sizes(plan.experiment.mesh)) * utilisation(plan, calls_of(plan).steps)
    computing = update_flops(plan) / busy / machine.flops
    sending = sum(traffic.values()) / machine.bandwidth
    return Prediction(_state(plan), _features(plan), traffic, computing, sending)


def _state(plan: Plan) -> float:
    layout, kept = layout_of(plan.experiment.mesh), 1 + moments_of(plan)

    def size(specs: Any) -> float:
        return sum((on_each(layout, s.axes, s.shape) for s in flatten(specs).values()), 0.0)

    return kept * size(plan.parameters()) + size(plan.feedback())


def _features(plan: Plan) -> float:
    """Outputs and inputs of the layers of the largest segment, and their tangents."""
    layout = layout_of(plan.experiment.mesh)
    times = 2 if plan.moves_together else 1

    def size(features: tuple[int, int, int]) -> float:
        return on_each(layout, ACTIVATION, (plan.rows, *features))

    return times * max(
        sum(size(layer.inputs) + size(layer.outputs) for b in segment.blocks for layer in b.layers)
        for segment in plan.segments
    )


def doubled(plan: Plan, axis: str) -> Iterator[Plan]:
    """The same plan on 1, 2, 4 ... devices along an axis of its mesh, as far as they divide."""
    size = 1
    while True:
        mesh = plan.experiment.mesh.model_copy(update={axis: size})
        experiment = with_mesh(plan.experiment, mesh)
        if mesh_problems(experiment):
            return
        yield replace(plan, experiment=experiment)
        size *= 2


def scaling_lines(plan: Plan, axis: str, machine: Machine) -> list[str]:
    """Seconds of an update along an axis, and where twice the devices are hardly quicker."""
    lines, before, stopped = [f"{axis:>6}  seconds  computing  sent by each"], None, ""
    for own in doubled(plan, axis):
        size, found = getattr(own.experiment.mesh, axis), predict(own, machine)
        share = found.computing / found.seconds
        sent = mebibytes(sum(found.traffic.values()))
        lines.append(f"{size:6d}  {found.seconds:7.2g}  {share:9.0%}  {sent}")
        if before is not None and not stopped and before < WORTH * found.seconds:
            stopped = f"stops scaling at {axis} = {size // 2}: twice as many are hardly quicker"
        before = found.seconds
    last = f"scales to {axis} = {lines[-1].split()[0]}, beyond which nothing divides"
    return [*lines, stopped or last]


def prediction_rows(plan: Plan, machine: Machine) -> dict[str, str]:
    """A prediction as shown."""
    found, devices = predict(plan, machine), prod(sizes(plan.experiment.mesh))
    return {
        "devices": f"{devices:,}, each {quantity(machine.flops, 'FLOP/s')} and "
        f"{quantity(machine.bandwidth, 'B/s')} to others",
        **mesh_rows(plan),
        "memory of each": f"{mebibytes(found.state)} state, {mebibytes(found.features)} features",
        "time of an update": f"{found.seconds:.2g} s: {found.computing:.2g} s computing, "
        f"{found.sending:.2g} s sending",
    }


def mesh_rows(plan: Plan) -> dict[str, str]:
    """A mesh, its rules and what each device sends; nothing on one device."""
    mesh = plan.experiment.mesh
    if prod(sizes(mesh)) == 1:
        return {}
    shape = " x ".join(f"{getattr(mesh, name)} {name}" for name in AXES if getattr(mesh, name) > 1)
    rules = ", ".join(f"{rule.axis} over {rule.over}" for rule in mesh.rules)
    found = sorted(predicted_traffic(plan).items(), key=lambda item: -item[1])
    sent = (f"{mebibytes(size)} {kind} over {axes}" for (kind, axes), size in found)
    rows = {"mesh": f"{shape}; {rules}", "sent by each": "; ".join(sent) or "nothing"}
    if mesh.stage > 1:
        share = utilisation(plan, calls_of(plan).steps)
        rows["pipeline"] = f"{mesh.stage} stages, which compute {share:.0%} of the time"
    return rows


def mesh_values(plan: Plan) -> dict[str, Any]:
    """The same as JSON, in bytes an update."""
    found = predicted_traffic(plan).items()
    sent = [{"collective": kind, "axis": axes, "bytes": size} for (kind, axes), size in found]
    return {"mesh": dict(zip(AXES, sizes(plan.experiment.mesh), strict=True)), "sent": sent}
