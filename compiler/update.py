"""Plan -> Program: the pure functions of a run, and the one jitted update."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from compiler.diagnose import diagnosed
from compiler.estimate import Clock, drawn, estimate, given, make_context
from compiler.network.running import moved
from compiler.noise import key_data
from compiler.optimizer import make_optimizer
from compiler.passes import (
    classifier_gradient,
    clean_features,
    evaluated,
    heads_gradient,
    views,
)
from compiler.pipeline import pipelined
from compiler.plan import Plan
from compiler.scanned import Rows, trained
from compiler.sharding import everywhere, placed, shardings, traced_on
from compiler.state import State, by_name, rest, start, stepped

Params = Mapping[str, Any]
Batch = Mapping[str, Array]
Records = Mapping[str, Array]
Perturbations = Mapping[str, Float[Array, "..."]]
Metrics = dict[str, Array]


class Program(NamedTuple):
    """The pure functions of one plan.

    Attributes:
        plan: what they were made from.
        init: seed -> State.
        abstract: () -> the State's shapes, each with where its array lies on the plan's mesh.
        update: (State, batch) -> (State, metrics); jitted, the state's buffers are donated.
        updates: (State, records, whole=None) -> (State, metrics); jitted, the state's buffers are
            donated. Records are batches, each array with a leading axis of updates, as the metrics
            have; or their examples as `index` [k, n] into the training set `whole`.
        gradient: (State, batch, perturbations=None) -> (gradient, metrics); jitted. The gradient
            is by block, stacked or not, and has no learning-rate factor. `perturbations`, by
            the names the plan prints, each with a leading axis of samples, replace the noise.
        evaluate: (State, batch) -> sums over the batch: `loss`, the objective's metrics, `count`;
            jitted.
        diagnose: (State, batch) -> what the estimate of this step is worth; jitted.
    """

    plan: Plan
    init: Callable[[int], State]
    abstract: Callable[[], State]
    update: Any
    updates: Any
    gradient: Callable[..., tuple[Params, Metrics]]
    evaluate: Callable[[State, Batch], Metrics]
    diagnose: Callable[[State, Batch], Metrics]


def compile_plan(plan: Plan) -> Program:
    """Make the program of a plan; nothing is compiled before its first call.

    The batch is `image` [n, h, w, colours], integers in 0..255 or floats in [0, 1], and `label`
    int32 [n].
    """
    optimizer = make_optimizer(plan.experiment.optimizer, plan.steps, plan.steps_per_epoch)
    begin = partial(start, plan, optimizer)

    def abstract() -> State:
        return placed(plan, jax.eval_shape(begin, key_data(0)))

    def jit(function: Callable[..., Any], **how: Any) -> Any:
        return jax.jit(traced_on(plan, function), **how)

    whole = everywhere(plan)  # what the host reads, which may be one of many
    where = whole and shardings(abstract())
    started = jit(begin, out_shardings=where)  # one compilation for all shapes

    def init(seed: int) -> State:
        return started(key_data(seed))

    def update(state: State, batch: Batch) -> tuple[State, Metrics]:
        if plan.experiment.mesh.stage > 1:
            new, metrics = updates(state, {name: part[None] for name, part in batch.items()})
            return new, {name: part[0] for name, part in metrics.items()}
        return (_stacked_update if plan.stacks else _update)(plan, optimizer, state, batch)

    def gradient(
        state: State, batch: Batch, perturbations: Perturbations | None = None
    ) -> tuple[Params, Metrics]:
        return gradient_of_step(plan, by_name(plan, state), batch, perturbations)[:2]

    def evaluate(state: State, batch: Batch) -> Metrics:
        return evaluated(plan, state, batch)

    def diagnose(state: State, batch: Batch) -> Metrics:
        named, labels = by_name(plan, state), jnp.tile(batch["label"], plan.objective.views)
        rows = (views(plan, batch["image"], state.key, state.step), labels)
        return diagnosed(plan, named.params, named.feedback, rows, (state.key, state.step))

    def updates(state: State, records: Records, whole: Batch | None = None) -> Any:
        if plan.experiment.mesh.stage > 1:
            return pipelined(plan, optimizer, state, (records, whole), _picked)
        return jax.lax.scan(lambda s, r: update(s, _picked(r, whole)), state, records)

    donating = partial(jit, donate_argnums=0, out_shardings=where and (where, whole))
    read = partial(jit, out_shardings=whole)
    measures = (jit(gradient), read(evaluate), read(diagnose))
    return Program(plan, init, abstract, donating(update), donating(updates), *measures)


def _picked(record: Records, whole: Batch | None) -> Batch:
    """A batch as it is, or the examples of the training set that are named."""
    if whole is None:
        return record
    return {name: part[record["index"]] for name, part in whole.items()}


def _update(
    plan: Plan, optimizer: optax.GradientTransformation, state: State, batch: Batch
) -> tuple[State, Metrics]:
    grads, metrics, changed = gradient_of_step(plan, state, batch, None)
    metrics["optim/grad_norm"] = optax.tree.norm(grads)
    params, moments = stepped(optimizer, grads, state.optimizer, state.params)
    new = state._replace(step=state.step + 1, params=params, optimizer=moments)
    return new._replace(**changed), metrics


def _stacked_update(
    plan: Plan, optimizer: optax.GradientTransformation, state: State, batch: Batch
) -> tuple[State, Metrics]:
    """The same, with equal blocks scanned."""
    labels = jnp.tile(batch["label"], plan.objective.views)
    x = views(plan, batch["image"], state.key, state.step)
    found = trained(plan, optimizer, state, Rows(x, labels, state.key, state.step))
    clean = found.output
    if not plan.objective.answers:
        clean = clean_features(plan, state, batch["image"])
    read, metrics, _ = classifier_gradient(plan, state.params, clean, batch["label"])
    grads = {**found.grads, **read}
    norm = jnp.sqrt(found.squares + optax.tree.norm(read, squared=True))
    others = rest(state.params)
    params, moments = stepped(optimizer, grads, state.optimizer["rest"], others)
    stacks = {name: own for name, (own, _) in found.stacks.items()}
    new = state._replace(
        step=state.step + 1,
        params={**params, "stacks": stacks},
        optimizer={"rest": moments} | {name: of for name, (_, of) in found.stacks.items()},
    )
    return new, {**found.metrics, **metrics, "optim/grad_norm": norm}


def gradient_of_step(
    plan: Plan, state: State, batch: Batch, perturbations: Perturbations | None
) -> tuple[Params, Metrics, dict[str, Any]]:
    """The gradient, the metrics, and what else of the state is of the next step.

    Args:
        plan: the plan; parameters are by block, whatever is stacked.
        state: before the step.
        batch: see `compile_plan`.
        perturbations: in place of what is drawn, see `Program.gradient`.
    """
    params, objective = state.params, plan.objective
    labels = jnp.tile(batch["label"], objective.views)
    noise = drawn(plan, state.key, state.step) if perturbations is None else given(perturbations)
    clock = Clock(state.key, state.step, noise)
    context = make_context(plan, params, state.feedback, labels, clock)
    found = estimate(plan, params, views(plan, batch["image"], state.key, state.step), context)
    trace = jax.lax.stop_gradient(found.trace)
    clean = trace.output
    if not objective.answers:
        clean = clean_features(replace(plan, stacks=()), state, batch["image"])
    heads, losses = heads_gradient(plan, plan.headed_sites(), params, trace.features, labels)
    read, metrics, traces = classifier_gradient(plan, params, clean, batch["label"])
    feedback = state.feedback if found.feedback is None else {"blocks": found.feedback}
    changed = {
        "statistics": moved(state.statistics, {**trace.layers, **traces}),
        "feedback": feedback,
    }
    return {"blocks": found.grads, **heads, **read}, {**losses, **metrics}, changed
