"""What an update would be on devices that need not be here, from shapes alone."""

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
    layout, copies = layout_of(plan.experiment.mesh), 1 + moments_of(plan)

    def size(specs: Any) -> float:
        return sum(
            (on_each(layout, spec.axes, spec.shape) for spec in flatten(specs).values()), 0.0
        )

    return copies * size(plan.parameters()) + size(plan.feedback())


def _features(plan: Plan) -> float:
    """Outputs and inputs of the layers of the largest segment, and their tangents."""
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
    """The same as JSON, in bytes an update."""
    traffic = predicted_traffic(plan).items()
    sent = [{"collective": kind, "axis": axes, "bytes": size} for (kind, axes), size in traffic]
    return {"mesh": dict(zip(AXES, sizes(plan.experiment.mesh), strict=True)), "sent": sent}
