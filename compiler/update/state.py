"""The state of a run: how it starts, and how an optimizer's step changes it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, UInt32

from compiler.named_arrays.paths import flatten, unflatten
from compiler.named_arrays.precision import in_full
from compiler.named_arrays.random_streams import KeyData
from compiler.network.initialize import initialize
from compiler.network.running import Running, initial
from compiler.optimizers.average import average_in
from compiler.optimizers.make import make_optimizer, together, without
from compiler.optimizers.paths import weights_of
from compiler.plan.plan import Plan
from compiler.plan.stacks import stacked, unstacked

Params = Mapping[str, Any]


class State(NamedTuple):
    """Everything that a step reads and changes.

    Attributes:
        step: the number of updates done so far, int32 [].
        params: float32 arrays under `blocks`, `heads` and `classifier`. Scanned blocks are under
            `stacks` instead, with a leading axis of blocks.
        optimizer: the state of the optax transformation. With stacks: for each stack, by its name,
            the state of each of its units, and under `rest` the state of everything else.
        feedback: backward weights, fixed or learned, and under `KEPT` what the set of samples keeps
            between updates; empty if there are none. In a run with phases those of every phase, by
            its `Plan.slot`.
        statistics: running moments of batch normalizations; empty if there are none.
        key: the raw threefry key of the run; it never changes.
    """

    step: Int[Array, ""]
    params: Params
    optimizer: Any
    feedback: Params
    statistics: Running
    key: UInt32[Array, "2"]


def optimizer_of(plan: Plan) -> optax.GradientTransformation:
    """The optimizer of a plan, which leaves frozen parameters unchanged."""
    spec, decaying = plan.experiment.optimizer, weights_of(plan.parameters()) - plan.frozen
    optimizer = make_optimizer(spec, plan.steps, plan.steps_per_epoch, decaying)
    return without(optimizer, plan.frozen) if plan.frozen else optimizer


def start(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    key: KeyData,
    given: Mapping[str, Any] | None = None,
) -> State:
    """The state before the first step; stacking does not change initial parameters.

    Args:
        plan: the plan.
        optimizer: the plan's optimizer.
        key: the raw random key of the run.
        given: parameters by path that are read instead of drawn.
    """
    initialization = plan.network.initialization
    params_by_block = initialize(plan.parameters(), key, initialization, drawn=plan.network.drawn)
    params = stacked(plan.stacks, unflatten(flatten(params_by_block) | dict(given or {})))

    def drawn_for(phase: Plan) -> dict[str, Any]:
        weights = initialize(phase.feedback(), key, initialization, "feedback", all_drawn=True)
        return stacked(phase.stacks, weights) if weights else {}

    feedback = drawn_for(plan)
    if plan.phases:
        by_estimator = {phase.slot: drawn_for(phase) for _, phase in plan.phases}
        feedback = {slot: weights for slot, weights in by_estimator.items() if weights}
    moments: Any = optimizer.init(rest(params))
    # Each unit of a stack has an optimizer state of its own. So its step can be in the body of the
    # scan, and LARS sees the norms of single layers.
    if plan.stacks:
        moments = {"rest": moments} | {
            name: jax.vmap(optimizer.init)(stack_params)
            for name, stack_params in params["stacks"].items()
        }
    return State(jnp.zeros((), jnp.int32), params, moments, feedback, initial(plan.network), key)


def rest(params: Params) -> dict[str, Any]:
    """The parameters that are in no stack."""
    return {section: tree for section, tree in params.items() if section != "stacks"}


def answering(plan: Plan, state: State) -> State:
    """The state with the parameters for evaluation: averaged ones, if the spec asks for them."""
    if plan.experiment.optimizer.average is None:
        return state
    if not plan.stacks:
        return state._replace(params=average_in(state.optimizer))
    averages = {
        name: average_in(optimizer_state) for name, optimizer_state in state.optimizer.items()
    }
    return state._replace(params={**averages.pop("rest"), "stacks": averages})


def by_name(plan: Plan, state: State) -> State:
    """The same state with all parameters and backward weights by block, none in stacks."""
    if not plan.stacks:
        return state
    feedback = unstacked(plan.stacks, state.feedback) if state.feedback else {}
    return state._replace(params=unstacked(plan.stacks, state.params), feedback=feedback)


def unstacked_gradient(plan: Plan, grads: Params, stacks: Params) -> dict[str, Any]:
    """A gradient by block, from the gradients of stacks and of everything else."""
    return unstacked(plan.stacks, {**grads, "stacks": stacks}) if plan.stacks else dict(grads)


def clipped(plan: Plan, grads: Any) -> Any:
    """All gradients, clipped by the norm of the whole gradient if the spec asks for it."""
    clip = together(plan.experiment.optimizer)
    if clip is None:
        return grads
    with jax.named_scope("optimizer"), jax.numpy_dtype_promotion("standard"):
        return clip.update(grads, clip.init(grads))[0]


@in_full
def stepped(
    optimizer: optax.GradientTransformation, grads: Any, moments: Any, params: Any
) -> tuple[Any, Any]:
    """Parameters and the optimizer's state after one update."""
    with jax.named_scope("optimizer"):
        with jax.numpy_dtype_promotion("standard"):  # optax mixes step counts with floats
            steps, moments = optimizer.update(grads, moments, params)
        return optax.apply_updates(params, steps), moments


def updated(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    state: State,
    grads: Params,
    stacks: Mapping[str, tuple[Params, Any]],
) -> tuple[Params, Any]:
    """Parameters and the optimizer's state after one update of a state.

    Gradients that are missing count as zero. A stage of a pipeline has the gradients of its own
    parts only. Optimizers treat every array by itself, so the results for the other parts are never
    read, and XLA does not compute them.

    Args:
        plan: the plan.
        optimizer: the plan's optimizer; it also fits single units of a stack.
        state: the state before the update.
        grads: the gradients of parameters that are in no stack.
        stacks: new parameters and optimizer state of each stack, by name.
    """
    params_before, given_grads = rest(state.params), flatten(grads)
    all_grads = {
        path: given_grads.get(path, jnp.zeros_like(leaf))
        for path, leaf in flatten(params_before).items()
    }
    moments = state.optimizer["rest"] if plan.stacks else state.optimizer
    params, moments = stepped(optimizer, unflatten(all_grads), moments, params_before)
    if not plan.stacks:
        return params, moments
    stack_params = {name: value for name, (value, _) in stacks.items()}
    params = {**params, "stacks": {**state.params["stacks"], **stack_params}}
    stack_states = {name: value for name, (_, value) in stacks.items()}
    return params, {**state.optimizer, "rest": moments, **stack_states}
