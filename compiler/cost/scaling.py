"""Predicts time and memory of an update on a mesh of any devices, from shapes and FLOPs."""

from math import prod
from typing import Any, NamedTuple

from compiler.cost.pipeline_stages import utilisation
from compiler.cost.predicted_traffic import Traffic, moments_of, on_each, predicted_traffic
from compiler.cost.update_flops import update_flops
from compiler.cost.updates_per_call import calls_of
from compiler.named_arrays.axes import ACTIVATION
from compiler.named_arrays.paths import flatten
from compiler.plan.plan import Plan
from compiler.plan.sharding import layout_of
from fgspec.spec.mesh import AXES, sizes


class Machine(NamedTuple):
    """The sustained speed of a device, not its peak.

    Attributes:
        flops: FLOPs per second.
        bandwidth: bytes that it sends per second.
    """

    flops: float = 1e14
    bandwidth: float = 5e10


class Prediction(NamedTuple):
    """The predicted cost of an update on a mesh.

    Attributes:
        state: bytes of parameters, optimizer state and backward weights on each device.
        features: bytes of stored features on each device, for the largest segment.
        traffic: bytes sent, see `predicted_traffic`.
        computing: seconds of computation.
        sending: seconds of communication, assuming that none overlaps with computation.
    """

    state: float
    features: float
    traffic: Traffic
    computing: float
    sending: float

    @property
    def seconds(self) -> float:
        """The seconds of an update."""
        return self.computing + self.sending


def predict(plan: Plan, machine: Machine) -> Prediction:
    """The predicted cost of an update of a plan on the plan's mesh."""
    traffic = predicted_traffic(plan)
    busy = prod(sizes(plan.experiment.mesh)) * utilisation(plan, calls_of(plan).steps)
    computing = update_flops(plan) / busy / machine.flops
    sending = sum(traffic.values()) / machine.bandwidth
    return Prediction(_state(plan), _features(plan), traffic, computing, sending)


def _state(plan: Plan) -> float:
    layout, copies = layout_of(plan.experiment.mesh), 1 + moments_of(plan)

    def size(specs: Any) -> float:
        return sum(
            (on_each(layout, spec.axes, spec.shape) for spec in flatten(specs).values()), 0.0
        )

    return copies * size(plan.parameters()) + size(plan.feedback())


def _features(plan: Plan) -> float:
    """The bytes of inputs and outputs of the layers of the largest segment, and of tangents."""
    layout = layout_of(plan.experiment.mesh)
    times = 2 if plan.moves_together else 1

    def size(features: tuple[int, int, int]) -> float:
        return on_each(layout, ACTIVATION, (plan.rows, *features))

    return times * max(
        sum(
            size(layer.inputs) + size(layer.outputs)
            for block in segment.blocks
            for layer in block.layers
        )
        for segment in plan.segments
    )


def mesh_values(plan: Plan) -> dict[str, Any]:
    """The mesh and the bytes that each device sends in an update, as JSON."""
    traffic = predicted_traffic(plan).items()
    sent = [{"collective": kind, "axis": axes, "bytes": size} for (kind, axes), size in traffic]
    return {"mesh": dict(zip(AXES, sizes(plan.experiment.mesh), strict=True)), "sent": sent}
