"""The gradients of blocks and heads at a step.

If every unit learns only from its own loss, all values of a unit can be dropped when the next unit
has its input. So equal units are scanned: the body of the loop has the gradients of a unit and its
head and the optimizer's step, in place, and memory does not grow with depth. All other rules go
through the estimator's gradient of the whole network.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from compiler.estimators.context import Context, Noise, drawn, given, make_context
from compiler.estimators.site_losses import Targets
from compiler.named_arrays.random_streams import KeyData, stream_code
from compiler.network.layers import LayerTrace
from compiler.network.network import params_of
from compiler.plan.loops import looped
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment, Unit
from compiler.plan.stacks import Stack
from compiler.update.forward_passes import heads_gradient, rows, stem, targets_from_last
from compiler.update.state import State, stepped
from compiler.update.which_gradient import network_estimate, unit_estimate

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Perturbations = Mapping[str, Float[Array, "..."]]


class Rows(NamedTuple):
    """The input of a step: rows of the batch, and the source of its noise.

    Attributes:
        x: the input of the first block.
        targets: what outputs of every row are compared with.
        key: the raw random key of the run.
        step: the number of updates done so far.
        perturbations: perturbations to use instead of random ones, by name, with a leading axis of
            samples.
    """

    x: Features
    targets: Targets
    key: KeyData
    step: Int[Array, ""]
    perturbations: Perturbations | None = None

    def noise(self, plan: Plan) -> Noise:
        """The source of perturbations for blocks that are compiled one by one."""
        if self.perturbations is not None:
            return given(self.perturbations)
        return drawn(plan, self.key, self.step)

    def noise_of_units(self, plan: Plan, stack: Stack) -> Any:
        """Index of a unit -> the source of its perturbations, by the names of the template."""
        names = plan.perturbed(Segment(stack.template[0], (stack.template[1],)))
        renamings = list(stack.renamed())
        if self.perturbations is not None:
            by_unit = {
                name: jnp.stack(
                    [self.perturbations[_renamed(name, renaming)] for renaming in renamings]
                )
                for name in names
            }
            return lambda unit: given({name: array[unit] for name, array in by_unit.items()})
        streams = {
            name: jnp.asarray(
                np.array(
                    [
                        stream_code(f"perturbation/{_renamed(name, renaming)}")
                        for renaming in renamings
                    ]
                ),
                jnp.uint32,
            )
            for name in names
        }

        def noise_of(unit: Any) -> Noise:
            return drawn(
                plan, self.key, self.step, {name: codes[unit] for name, codes in streams.items()}
            )

        return noise_of


def rows_of(
    plan: Plan,
    state: State,
    batch: Mapping[str, Array],
    perturbations: Perturbations | None = None,
) -> Rows:
    """The rows of the next step of a state, those of every example of a batch."""
    images, wanted = rows(plan, batch, state.key, state.step)
    x = stem(plan, images)
    if plan.local_objective.reads_last:
        wanted = wanted._replace(local=targets_from_last(plan, state, x, wanted.local))
    return Rows(x, wanted, state.key, state.step, perturbations)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    block, *rest = name.split("/")
    return "/".join((names[block], *rest))


class Learned(NamedTuple):
    """The gradients of a step, and the values that it leaves.

    Attributes:
        grads: the gradients of parameters that are in no stack, without the classifier's.
        stacks: for each stack, by its name, what `Keep` makes of its gradients.
        squares: the sum of the squared gradients, without the classifier's.
        metrics: the losses of heads.
        output: the features after the last block; no gradient passes through them.
        layers: the traces of blocks that are not scanned, by path.
        feedback: `State.feedback` of the next step, if it changes.
    """

    grads: Params
    stacks: dict[str, Any]
    squares: Float[Array, ""]
    metrics: dict[str, Array]
    output: Features
    layers: Mapping[str, LayerTrace]
    feedback: Params | None = None


@runtime_checkable
class Keep(Protocol):
    """What a scan makes of the gradients of a stack's units."""

    def start(self, stack: Stack) -> Any:
        """The arrays that the scan fills, with a leading axis of units."""
        ...

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """The parameters of a unit before its turn; `kept` are the unit's values so far."""
        ...

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """The unit's values after its turn, from those before and its gradients."""
        ...


class Stepping(NamedTuple):
    """Updates parameters and optimizer state of a stack in place."""

    optimizer: optax.GradientTransformation
    state: State

    def start(self, stack: Stack) -> Any:
        """Parameters and optimizer state before the step."""
        return self.state.params["stacks"][stack.name], self.state.optimizer[stack.name]

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """The unit's parameters, read from the arrays being filled, to avoid a second copy."""
        return kept[0]

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """Parameters and optimizer state after the optimizer's step."""
        params, moments = kept
        return stepped(self.optimizer, grads, moments, params)


class Collecting(NamedTuple):
    """Collects the gradients of a stack."""

    state: State

    def start(self, stack: Stack) -> Any:
        """Zeros in the shapes of the parameters."""
        return jax.tree.map(jnp.zeros_like, self.state.params["stacks"][stack.name])

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """The unit's parameters in the state."""
        return _at(self.state.params["stacks"][stack.name], unit)

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """The unit's gradients."""
        return grads


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def learn(plan: Plan, state: State, rows: Rows, keep: Keep, span: range | None = None) -> Learned:
    """The gradients of blocks and heads at one step.

    Args:
        plan: the plan.
        state: the state before the step.
        rows: the rows of the step; they enter the first unit of the span.
        keep: collects the gradients of stacks, or makes steps with them.
        span: the units that learn, all by default. Others only if `plan.unit_by_unit`.
    """
    if plan.unit_by_unit:
        return _unit_by_unit(plan, state, rows, keep, span or range(len(plan.units)))
    return _whole(plan, state, rows, keep)


def _whole(plan: Plan, state: State, rows: Rows, keep: Keep) -> Learned:
    """The gradients from the estimator's gradient of the whole network."""
    sections = ("blocks", "stacks")
    chained = {name: state.params[name] for name in sections if name in state.params}

    def context_of(phase: Plan, feedback: Params) -> Context:
        return _context(phase, state.params, feedback, rows, rows.noise(phase))

    estimate = network_estimate(plan, chained, rows.x, rows.step, state.feedback, context_of)
    grads, trace = dict(estimate.grads), jax.lax.stop_gradient(estimate.trace)
    stack_grads = grads.pop("stacks", {})
    stacks = keep_all(plan, keep, stack_grads)
    heads, metrics = heads_gradient(
        plan, plan.headed_sites(), state.params, trace.features, rows.targets
    )
    squares = optax.tree.norm((stack_grads, grads, heads), squared=True)
    return Learned(
        {**grads, **heads}, stacks, squares, metrics, trace.output, trace.layers, estimate.feedback
    )


def keep_all(plan: Plan, keep: Keep, grads: Params) -> dict[str, Any]:
    """What `keep` makes of the gradients of all stacks, by name; all gradients are given."""
    return {
        stack.name: jax.vmap(partial(keep.after, stack))(keep.start(stack), grads[stack.name])
        for stack in plan.stacks
    }


def _context(plan: Plan, params: Params, feedback: Params, rows: Rows, noise: Noise) -> Context:
    return make_context(plan, params, feedback, rows.targets, rows.key, rows.step, noise)


def _unit_by_unit(plan: Plan, state: State, rows: Rows, keep: Keep, span: range) -> Learned:
    """The gradients of the units of the span, each from its own loss, in order."""
    grads: dict[str, Any] = {"blocks": {}}
    stacks: dict[str, Any] = {}
    layers: dict[str, Any] = {}
    squares, metrics, x = jnp.zeros(()), dict[str, Array](), rows.x
    for unit_or_stack, inside in _parts(plan, span):
        if isinstance(unit_or_stack, Stack):
            rows_of_stack = rows._replace(x=x)
            x, stacks[unit_or_stack.name], losses, squares = _stack(
                plan, unit_or_stack, state, rows_of_stack, keep, inside, squares
            )
            metrics |= losses
            continue
        segment, noise = Segment(unit_or_stack[0], (unit_or_stack[1],)), rows.noise(plan)
        unit = _unit(plan, segment, state.params, state.feedback, rows._replace(x=x), noise)
        squares += optax.tree.norm((unit.blocks, unit.heads), squared=True)
        grads["blocks"] |= unit.blocks
        if unit.heads:
            grads["heads"] = grads.get("heads", {}) | unit.heads["heads"]
        metrics, layers, x = metrics | unit.losses, {**layers, **unit.layers}, unit.output
    return Learned(grads, stacks, squares, metrics, x, layers)


def _parts(plan: Plan, span: range) -> Iterator[tuple[Unit | Stack, range]]:
    """Units and stacks with at least one unit in the span, and the range of these units."""
    for unit_or_stack in plan.units_and_stacks():
        units = unit_or_stack.units if isinstance(unit_or_stack, Stack) else (unit_or_stack,)
        first = plan.units.index(units[0])
        inside = range(max(0, span.start - first), min(len(units), span.stop - first))
        if inside:
            yield unit_or_stack, inside


class _OfUnit(NamedTuple):
    """One unit: gradients of its blocks and head, losses, output, and traces of layers."""

    blocks: Params
    heads: Params
    losses: dict[str, Array]
    output: Features
    layers: Mapping[str, LayerTrace]


def _unit(
    plan: Plan, segment: Segment, params: Params, feedback: Params, rows: Rows, noise: Noise
) -> _OfUnit:
    """The gradients of one unit, from its own loss.

    Args:
        plan: the plan.
        segment: the unit's blocks and site.
        params: parameters under `blocks`, `heads` and `classifier`.
        feedback: backward weights in the same structure, as drawn.
        rows: the rows; their `x` is the unit's input.
        noise: the source of its perturbations.
    """
    context = _context(plan, params, feedback, rows, noise)
    blocks = {block.name: params_of(block, params) for block in segment.blocks}
    estimate = unit_estimate(plan, segment, blocks, rows.x, context)
    trace = jax.lax.stop_gradient(estimate.trace)
    sites = tuple(site for site in segment.sites if plan.place(site)[0] == "heads")
    heads, losses = heads_gradient(plan, sites, params, trace.features, rows.targets)
    return _OfUnit(estimate.grads, heads, losses, trace.output, trace.layers)


def _stack(
    plan: Plan,
    stack: Stack,
    state: State,
    rows: Rows,
    keep: Keep,
    span: range,
    squares: Float[Array, ""],
) -> tuple[Features, Any, dict[str, Array], Float[Array, ""]]:
    """Scan a span of a stack: its output, the values kept, losses, the sum of squares."""
    blocks, site = stack.template
    segment, noise_of = Segment(blocks, (site,)), rows.noise_of_units(plan, stack)
    feedback = state.feedback.get("stacks", {}).get(stack.name, {})

    def one_unit(carry: Any, unit: Int[Array, ""]) -> tuple[Any, Any]:
        x, squares, kept, (unit_state, backward) = carry
        params = keep.params(stack, unit_state, unit)
        all_params = {**params, "classifier": state.params["classifier"]}
        learned = _unit(plan, segment, all_params, backward, rows._replace(x=x), noise_of(unit))
        grads = {"blocks": learned.blocks, **learned.heads}
        squares += optax.tree.norm(grads, squared=True)
        kept = jax.tree.map(
            lambda leaf, value: leaf.at[unit].set(value), kept, keep.after(stack, unit_state, grads)
        )
        next_unit_state = _at((kept, feedback), jnp.minimum(unit + 1, span.stop - 1))
        return (learned.output, squares, kept, next_unit_state), learned.losses

    # The sum of squares goes through the scan, so that the scan cannot start before the gradients
    # of earlier blocks are computed. Otherwise XLA computed them after it and kept everything they
    # need in memory. An `optimization_barrier` does not help: on a CPU, XLA drops it before it
    # orders operations.
    #
    # The parameters and the optimizer state of a turn are read at the end of the turn before. When
    # they were read in the same turn, XLA read them element by element inside the operations that
    # use them, which took a fifth of the time with 16 blocks. It also copied both stacks at every
    # turn, because new parameters and new momentum each depend on the old values of both.
    kept_before = keep.start(stack)
    start = (rows.x, squares, kept_before, _at((kept_before, feedback), span.start))
    (x, squares, kept, _), losses = looped(plan, one_unit, start, jnp.arange(span.start, span.stop))
    metrics = {
        f"local_loss/{stack.units[unit][1].name}": losses[f"local_loss/{site.name}"][index]
        for index, unit in enumerate(span)
    }
    return x, kept, metrics, squares
