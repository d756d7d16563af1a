"""Updates in a pipeline of stages: exactly those of one machine, and no stage waits for another.

Where every block learns from its own loss, a block's update for batch t reads only what the block
before made of batch t. So at tick t stage s trains on batch t - s, with the parameters that it has
after batch t - s - 1, as it would alone; features travel to the next stage by collective permute.
A call fills and drains: before and after it the state is that of a sequential run.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int, Shaped

from compiler.passes import classifier_gradient, views
from compiler.plan import Plan
from compiler.scanned import Rows, trained_locally
from compiler.sharding import constrained
from compiler.stages import stages
from compiler.state import State, rest, stepped
from compiler.trees import flatten, unflatten

Params = Mapping[str, Any]
Batch = Mapping[str, Array]
Metrics = dict[str, Array]
SQUARES = "squares"
"""Sum of the squared gradients of a stage, among its metrics."""


class Tick(NamedTuple):
    """What a stage holds between ticks.

    Attributes:
        params: of the whole network; only its own parts are up to date.
        optimizer: of the same.
        features: what it sends on, [n, f], padded to the widest.
    """

    params: Params
    optimizer: Any
    features: Float[Array, "n f"]


def pipelined(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    state: State,
    records: tuple[Params, Any],
    picked: Callable[[Params, Any], Batch],
) -> tuple[State, Metrics]:
    """As many updates as there are records, every stage at its own batch.

    Args:
        plan: with more than one stage.
        optimizer: of single units as of the whole network.
        state: before the first.
        records: each array with a leading axis of updates; and the training set they name
            examples of, if they do.
        picked: (record, training set) -> its batch.

    Returns:
        The state after the last, and metrics with a leading axis of updates.
    """
    steps = len(jax.tree.leaves(records[0])[0])
    spread = jax.shard_map(
        partial(_stage, plan, optimizer, picked, steps),
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        axis_names={"stage"},
        check_vma=False,
    )
    params, moments, metrics = spread(state, *records)
    metrics["optim/grad_norm"] = jnp.sqrt(metrics.pop(SQUARES))
    return state._replace(step=state.step + steps, params=params, optimizer=moments), metrics


def _stage(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    picked: Callable[[Params, Any], Batch],
    steps: int,
    state: State,
    *records: Any,
) -> tuple[Params, Any, Metrics]:
    """All ticks of one stage; what it gives is the same on all."""
    own, count = jax.lax.axis_index("stage"), plan.experiment.mesh.stage
    branches = [partial(_trained, plan, optimizer, span) for span in stages(plan)]
    batches, whole = records

    def tick(held: Tick, now: Int[Array, ""]) -> tuple[Tick, Metrics]:
        onward = [(stage, stage + 1) for stage in range(count - 1)]
        entering = jax.lax.ppermute(held.features, "stage", onward)
        index = jnp.clip(now - own, 0, steps - 1)
        batch = picked(jax.tree.map(lambda leaf: leaf[index], batches), whole)
        before = state._replace(
            step=state.step + index, params=held.params, optimizer=held.optimizer
        )
        after, metrics = jax.lax.switch(own, branches, before, batch, entering)
        busy = (now >= own) & (now - own < steps)
        kept = jax.tree.map(partial(jnp.where, busy), after, held)
        return kept._replace(features=after.features), metrics

    sends = jnp.zeros((plan.rows, _width(plan)), jnp.dtype(plan.experiment.compile.precision))
    start = Tick(state.params, state.optimizer, sends)
    held, metrics = jax.lax.scan(tick, start, jnp.arange(steps + count - 1))
    of = partial(_owned, plan, own)
    kept = jax.tree_util.tree_map_with_path(of, (held.params, held.optimizer))
    return jax.lax.psum((*kept, _at_batches(plan, own, metrics, steps)), "stage")


def _width(plan: Plan) -> int:
    """Of the widest features that are sent on."""
    return max(prod(plan.units[span.stop - 1][0][-1].end.features) for span in stages(plan))


def _trained(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    span: range,
    state: State,
    batch: Batch,
    entering: Float[Array, "n f"],
) -> tuple[Tick, Metrics]:
    """Train the units of one stage."""
    if span.start == 0:
        x = views(plan, batch["image"], state.key, state.step)
    else:
        shape = plan.units[span.start - 1][0][-1].end.features
        x = entering[:, : prod(shape)].reshape(-1, *shape)
    rows = Rows(constrained(plan, x), batch["label"], state.key, state.step)
    found = trained_locally(plan, optimizer, state, rows, span)
    grads, metrics, squares = dict(found.grads), dict(found.metrics), found.squares
    if span.stop == len(plan.units):
        read, of_read, _ = classifier_gradient(plan, state.params, found.output, batch["label"])
        grads, metrics = {**grads, **read}, {**metrics, **of_read}
        squares += optax.tree.norm(read, squared=True)
    metrics[SQUARES] = squares
    params, moments = _stepped(plan, optimizer, state, (grads, found.stacks))
    flat = found.output.reshape(len(found.output), -1)
    sends = jnp.pad(flat, ((0, 0), (0, _width(plan) - flat.shape[1])))
    return Tick(params, moments, sends), {
        name: metrics.get(name, jnp.zeros(())) for name in _owners(plan)
    }


def _stepped(
    plan: Plan, optimizer: optax.GradientTransformation, state: State, found: tuple[Params, Params]
) -> tuple[Params, Any]:
    """Parameters and optimizer state in which the stage's own parts are updated.

    Optimizers treat every array by itself, so what the others' zeros make is never read.
    """
    grads, stacks = found
    others, moments = rest(state.params), state.optimizer
    known = flatten(grads)
    whole = unflatten(
        {path: known.get(path, jnp.zeros_like(leaf)) for path, leaf in flatten(others).items()}
    )
    params, new = stepped(optimizer, whole, moments["rest"] if plan.stacks else moments, others)
    if not plan.stacks:
        return params, new
    of_stacks = {name: of for name, (_, of) in stacks.items()}
    own = {name: own for name, (own, _) in stacks.items()}
    params = {**params, "stacks": {**state.params["stacks"], **own}}
    return params, {**moments, "rest": new, **of_stacks}


def _owners(plan: Plan) -> dict[str, int]:
    """The stage that knows each metric; of squares each has a part."""
    last = plan.experiment.mesh.stage - 1
    found = {f"local_loss/{site.name}": _stage_of(plan, site.block) for site in plan.headed_sites()}
    return (
        found | {f"train/{name}": last for name in ("loss", *plan.answer.reports)} | {SQUARES: last}
    )


def _stage_of(plan: Plan, block: str) -> int:
    """The stage that trains a block."""
    unit = next(
        index
        for index, (blocks, _) in enumerate(plan.units)
        if block in [own.name for own in blocks]
    )
    return next(stage for stage, span in enumerate(stages(plan)) if unit in span)


def _owned(
    plan: Plan, own: Int[Array, ""], path: tuple[Any, ...], leaf: Shaped[Array, "..."]
) -> Any:
    """What of an array this stage trains, else zero.

    The units of a stack may be of several stages; what counts steps is the same in all.
    """
    names = [part.key for part in path if isinstance(part, jax.tree_util.DictKey)]
    stack = next((stack for stack in plan.stacks if stack.name in names), None)
    inside = next((i for i, name in enumerate(names) if name in ("blocks", "heads")), None)
    owner: Any = 0
    if stack is not None:
        owner = jnp.array([_stage_of(plan, blocks[0].name) for blocks, _ in stack.units])
        owner = owner.reshape(-1, *[1] * (leaf.ndim - 1))
    elif "classifier" in names:
        owner = plan.experiment.mesh.stage - 1
    elif inside is not None:
        owner = _stage_of(plan, names[inside + 1])
    return jnp.where(owner == own, leaf, jnp.zeros_like(leaf))


def _at_batches(plan: Plan, own: Int[Array, ""], metrics: Metrics, steps: int) -> Metrics:
    """Metrics by update that this stage knows, else zero, from those at its ticks."""
    found = {name: jax.lax.dynamic_slice_in_dim(part, own, steps) for name, part in metrics.items()}
    owners = _owners(plan)
    return {
        name: part
        if name == SQUARES
        else jnp.where(owners[name] == own, part, jnp.zeros_like(part))
        for name, part in found.items()
    }
