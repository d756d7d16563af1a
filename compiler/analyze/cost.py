"""What one update of a plan costs, from shapes alone, and what XLA says of the compiled update."""

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from compiler.gradient.segment import Segment
from compiler.network.layers import LINEARS, Layer
from compiler.network.network import layers_in
from compiler.plan import Plan
from compiler.trees import flatten
from compiler.update import Program


@dataclass(frozen=True)
class Cost:
    """Counts of one update over a whole batch.

    Attributes:
        parameters: trained numbers.
        forward: FLOPs of the linear maps of the blocks, forward, clean images included.
        tangents: FLOPs of pushing the perturbations of all samples forward.
        weight_gradients: FLOPs of turning errors or estimates into weight gradients.
        input_gradients: FLOPs of sending errors backward to layers.
        readouts: FLOPs of heads and classifier, and between rows of a loss, forward and backward.
        losses: copies of losses, over the batch.
        perturbed: perturbed numbers, over batch and samples.
    """

    parameters: int
    forward: int
    tangents: int
    weight_gradients: int
    input_gradients: int
    readouts: int
    losses: int
    perturbed: int

    @property
    def flops(self) -> int:
        """All FLOPs of linear maps; what is applied element by element is left out."""
        parts = (self.forward, self.tangents, self.weight_gradients, self.input_gradients)
        return sum(parts) + self.readouts


def layer_flops(layer: Layer, batch: int) -> int:
    """FLOPs of a layer's linear map, forward, over a batch: two per multiply-add."""
    weight = LINEARS[layer.kind].params(layer)["w"]
    return 2 * batch * prod(layer.outputs) * weight.fan_in


def cost(plan: Plan) -> Cost:
    """Count one update of a plan."""
    examples, rows = plan.experiment.data.batch_size, plan.rows
    layers = [layer for _, layer in layers_in(plan.network.blocks)]
    linear = sum(layer_flops(layer, rows) for layer in layers)
    clean = 0 if plan.objective.classifies else linear * examples // rows
    # What enters a segment carries no derivative, so its first linear map needs none of it.
    entry = sum(layer_flops(s.blocks[0].layers[0], rows) for s in plan.segments)
    flat = flatten(plan.parameters())
    read = {p: examples if p.startswith("classifier/") else rows for p in flat if _is_readout(p)}
    readout = sum(6 * count * prod(flat[path].shape) for path, count in read.items())
    readout += len(plan.headed_sites()) * 4 * rows**2 * plan.objective.pairwise
    how, kind = plan.perturbing, plan.experiment.gradient.estimator.type
    tangents = 0
    if how is not None:
        through = linear - entry + (linear if how.space == "weight" else 0)
        tangents = how.samples * through
    # What sends errors backward: through the linear maps, or from the outputs to every layer.
    direct = sum(2 * rows * prod(layer.outputs) * plan.objective.outputs for layer in layers)
    errors = {"forward": 0, "direct_feedback": direct}.get(kind, linear - entry)
    return Cost(
        parameters=sum(prod(spec.shape) for spec in flat.values()),
        forward=linear + clean,
        tangents=tangents,
        weight_gradients=linear if how is None or how.space == "activation" else 0,
        input_gradients=errors,
        readouts=readout,
        losses=sum(_copies(plan, segment) for segment in plan.segments),
        perturbed=sum(_perturbed(plan, segment) for segment in plan.segments),
    )


def _is_readout(path: str) -> bool:
    return not path.startswith("blocks/") and path.endswith("/w")


def _copies(plan: Plan, segment: Segment) -> int:
    total = 0
    for site in segment.sites:
        block = next(b for b in segment.blocks if b.name == site.block)
        patches, groups, _ = block.layers[-1].outputs
        sizes = {"batch": plan.rows, "patch": patches, "group": groups}
        total += prod(sizes[axis] for axis in site.axes)
    return total


def _perturbed(plan: Plan, segment: Segment) -> int:
    samples = plan.perturbing.samples if plan.perturbing is not None else 0
    return samples * sum(prod(e.shape) for e in plan.perturbed(segment).values())


class CompiledUpdate(NamedTuple):
    """The compiled update and what the compiler reports of it.

    Attributes:
        call: (State, batch) -> (State, metrics); donates the state.
        flops: FLOPs by XLA's count, which takes the body of a scan once.
        state_bytes: parameters, optimizer state and key.
        temporary_bytes: everything allocated during a call besides arguments and results.
    """

    call: Any
    flops: float
    state_bytes: int
    temporary_bytes: int


def compile_update(program: Program) -> CompiledUpdate:
    """Compile the update for the shapes of its plan, without running anything."""
    state, batch = abstract_arguments(program)
    compiled = program.update.lower(state, batch).compile()
    memory = compiled.memory_analysis()
    analysis = compiled.cost_analysis() or {}
    size = sum(prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return CompiledUpdate(
        compiled, float(analysis.get("flops", 0.0)), size, int(memory.temp_size_in_bytes)
    )


def abstract_arguments(program: Program) -> tuple[Any, Any]:
    """Shapes and dtypes of the state and of a training batch."""
    plan = program.plan
    size = plan.experiment.data.batch_size
    pixels = jnp.dtype(plan.data.pixels)
    batch = {
        "image": jax.ShapeDtypeStruct((size, *plan.data.image_shape), pixels),
        "label": jax.ShapeDtypeStruct((size,), jnp.int32),
    }
    return jax.eval_shape(lambda: program.init(0)), batch
