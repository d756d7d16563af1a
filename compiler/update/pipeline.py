"""Pipelined updates: each stage trains some blocks, and no stage waits for another.

If every block learns only from its own loss, the update of a block for batch t needs only the
features of batch t from the block before. So at tick t stage s trains on batch t - s, with its
parameters after batch t - s - 1, exactly as on one machine. Features go to the next stage by a
collective permute.

Each call fills and drains the pipeline, so that the state between calls is that of a sequential
run. Keeping features under way in the state would save (S - 1) / (T + S - 1) of the time, for S
stages and T updates per call, but then checkpoints would depend on the stages.
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

from compiler.plan.loops import looped
from compiler.plan.plan import Plan
from compiler.plan.sharding import constrained
from compiler.update.forward_passes import classifier_gradient, targets, views
from compiler.update.learn import Rows, Stepping, learn
from compiler.update.state import State, updated

Params = Mapping[str, Any]
Batch = Mapping[str, Array]
Metrics = dict[str, Array]
SQUARES = "squares"
"""The name of the sum of squared gradients of a stage, among its metrics."""


class Tick(NamedTuple):
    """The values that a stage keeps between ticks.

    Attributes:
        params: the parameters of the whole network; only the stage's own are up to date.
        optimizer: the optimizer's state, likewise.
        features: the features to send on, [n, f], padded to the widest features of all stages.
    """

    params: Params
    optimizer: Any
    features: Float[Array, "n f"]


def pipelined(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    state: State,
    records: Params,
    whole: Any,
    picked: Callable[[Params, Any], Batch],
    stages: tuple[range, ...],
) -> tuple[State, Metrics]:
    """One update per record, with every stage at a batch of its own.

    Args:
        plan: a plan with more than one stage.
        optimizer: the plan's optimizer; it also fits single units of a stack.
        state: the state before the first update.
        records: batches or indices of examples, each array with a leading axis of updates.
        whole: the training set, if records have indices.
        picked: (record, training set) -> batch.
        stages: the consecutive units of each stage.

    Returns:
        The state after the last update, and metrics with a leading axis of updates.
    """
    steps = len(jax.tree.leaves(records)[0])
    spread = jax.shard_map(
        partial(_Pipeline(plan, optimizer, picked, stages).stage, steps),
        in_specs=PartitionSpec(),
        out_specs=PartitionSpec(),
        axis_names={"stage"},
        check_vma=False,
    )
    params, moments, metrics = spread(state, records, whole)
    metrics["optim/grad_norm"] = jnp.sqrt(metrics.pop(SQUARES))
    return state._replace(step=state.step + steps, params=params, optimizer=moments), metrics


class _Pipeline(NamedTuple):
    """What all stages share; see `pipelined` for the fields."""

    plan: Plan
    optimizer: optax.GradientTransformation
    picked: Callable[[Params, Any], Batch]
    stages: tuple[range, ...]

    def stage(
        self, steps: int, state: State, batches: Params, whole: Any
    ) -> tuple[Params, Any, Metrics]:
        """All ticks of one stage; the results are the same on all stages."""
        this_stage, count = jax.lax.axis_index("stage"), len(self.stages)
        # Stages may have different blocks, so a tick is a switch over stages, and each device holds
        # all parameters. Labels are not sent: each stage reads its own batch of the call.
        branches = [partial(self._trained, span) for span in self.stages]

        def tick(held: Tick, now: Int[Array, ""]) -> tuple[Tick, Metrics]:
            onward = [(stage, stage + 1) for stage in range(count - 1)]
            entering = jax.lax.ppermute(held.features, "stage", onward)
            index = jnp.clip(now - this_stage, 0, steps - 1)
            batch = self.picked(jax.tree.map(lambda leaf: leaf[index], batches), whole)
            before = state._replace(
                step=state.step + index, params=held.params, optimizer=held.optimizer
            )
            after, metrics = jax.lax.switch(this_stage, branches, before, batch, entering)
            busy = (now >= this_stage) & (now - this_stage < steps)
            state_after = jax.tree.map(partial(jnp.where, busy), after, held)
            return state_after._replace(features=after.features), metrics

        dtype = self.plan.features_dtype
        sends = jnp.zeros((self.plan.rows, self._width()), dtype)
        start = Tick(state.params, state.optimizer, sends)
        held, metrics = looped(self.plan, tick, start, jnp.arange(steps + count - 1))
        owned = partial(self._owned, this_stage)
        state_after = jax.tree_util.tree_map_with_path(owned, (held.params, held.optimizer))
        return jax.lax.psum((*state_after, self._at_batches(this_stage, metrics, steps)), "stage")

    def _width(self) -> int:
        """The size per example of the widest features that are sent."""
        ends = (self.plan.units[span.stop - 1][0][-1].end for span in self.stages)
        return max(prod(end.features) for end in ends)

    def _trained(
        self, span: range, state: State, batch: Batch, entering: Float[Array, "n f"]
    ) -> tuple[Tick, Metrics]:
        plan = self.plan
        if span.start == 0:
            x = views(plan, batch, state.key, state.step)
        else:
            shape = plan.units[span.start - 1][0][-1].end.features
            x = entering[:, : prod(shape)].reshape(-1, *shape)
        wanted = targets(plan, batch, state.key, state.step)
        rows = Rows(constrained(plan, x), wanted, state.key, state.step)
        learned = learn(plan, state, rows, Stepping(self.optimizer, state), span)
        grads, metrics, squares = dict(learned.grads), dict(learned.metrics), learned.squares
        if span.stop == len(plan.units):
            classifier_grads, classifier_metrics, _ = classifier_gradient(
                plan, state.params, learned.output, wanted.final
            )
            grads, metrics = {**grads, **classifier_grads}, {**metrics, **classifier_metrics}
            squares += optax.tree.norm(classifier_grads, squared=True)
        metrics[SQUARES] = squares
        params, moments = updated(plan, self.optimizer, state, grads, learned.stacks)
        flat = learned.output.reshape(len(learned.output), -1)
        sends = jnp.pad(flat, ((0, 0), (0, self._width() - flat.shape[1])))
        return Tick(params, moments, sends), {
            name: metrics.get(name, jnp.zeros(())) for name in self._owners()
        }

    def _owners(self) -> dict[str, int]:
        """The stage that computes each metric; of `SQUARES` each stage has a part."""
        last = len(self.stages) - 1
        answer_metrics = (f"train/{name}" for name in ("loss", *self.plan.answer.reports))
        sites = self.plan.headed_sites()
        return {f"local_loss/{site.name}": self._stage_of(site.block) for site in sites} | (
            dict.fromkeys((*answer_metrics, SQUARES), last)
        )

    def _stage_of(self, block: str) -> int:
        names = [[inside.name for inside in blocks] for blocks, _ in self.plan.units]
        unit = next(index for index, blocks in enumerate(names) if block in blocks)
        return next(stage for stage, span in enumerate(self.stages) if unit in span)

    def _owned(
        self, this_stage: Int[Array, ""], path: tuple[Any, ...], leaf: Shaped[Array, "..."]
    ) -> Any:
        """The part of an array that this stage trains; zero elsewhere.

        The units of a stack may belong to several stages. Step counters, which are the same on all
        stages, belong to stage 0.
        """
        names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
        stack = next((stack for stack in self.plan.stacks if stack.name in names), None)
        inside = next(
            (index for index, name in enumerate(names) if name in ("blocks", "heads")), None
        )
        owner: Any = 0
        if stack is not None:
            owner = jnp.array([self._stage_of(blocks[0].name) for blocks, _ in stack.units])
            owner = owner.reshape(-1, *[1] * (leaf.ndim - 1))
        elif "classifier" in names:
            owner = len(self.stages) - 1
        elif inside is not None:
            owner = self._stage_of(names[inside + 1])
        return jnp.where(owner == this_stage, leaf, jnp.zeros_like(leaf))

    def _at_batches(self, this_stage: Int[Array, ""], metrics: Metrics, steps: int) -> Metrics:
        """The metrics of this stage by update, from those by tick; zero for other stages'."""
        owners, known_metrics = self._owners(), Metrics()
        for name, ticks in metrics.items():
            at_batches = jax.lax.dynamic_slice_in_dim(ticks, this_stage, steps)
            known = name == SQUARES or owners[name] == this_stage
            known_metrics[name] = jnp.where(known, at_batches, jnp.zeros_like(at_batches))
        return known_metrics
