"""What all blocks and heads learn at a step, part by part.

Where every block learns from its own loss alone, nothing of a part is needed once the next one has
its output: equal units are scanned with their gradient, their head's and their optimizer's step
inside the body, in place, so that memory does not grow with depth. Everything else goes through the
estimator's gradient of the whole network.
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
from compiler.named_arrays.random_streams import KeyData, stream_code
from compiler.network.layers import LayerTrace
from compiler.plan.loops import looped
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment, Unit
from compiler.plan.stacks import Stack
from compiler.update.forward_passes import heads_gradient, views
from compiler.update.state import State, stepped

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]
Perturbations = Mapping[str, Float[Array, "..."]]


class Rows(NamedTuple):
    """What a step trains on.

    Attributes:
        x: what enters the first block.
        labels: of its rows.
        key: raw key of the run.
        step: of the run.
        perturbations: in place of those that are drawn, by name, each with a leading axis of
            samples.
    """

    x: Features
    labels: Int[Array, " n"]
    key: KeyData
    step: Int[Array, ""]
    perturbations: Perturbations | None = None

    def noise(self, plan: Plan) -> Noise:
        """The perturbations by the names of the blocks."""
        if self.perturbations is not None:
            return given(self.perturbations)
        return drawn(plan, self.key, self.step)

    def noise_of_units(self, plan: Plan, stack: Stack) -> Any:
        """Unit -> the perturbations of one unit of a stack, by the names of its template."""
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
    """The rows of the step after a state: every view of every example of its batch."""
    x = views(plan, batch, state.key, state.step)
    labels = jnp.tile(batch["label"], plan.objective.views)
    return Rows(x, labels, state.key, state.step, perturbations)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    block, *rest = name.split("/")
    return "/".join((names[block], *rest))


class Learned(NamedTuple):
    """What a step makes of blocks and heads.

    Attributes:
        grads: of all that is in no stack, without the classifier.
        stacks: what is kept of the gradients of every stack, by its name.
        squares: sum of the squared gradients of all but the classifier.
        metrics: losses of heads.
        output: features after the last block; no gradient reaches them.
        layers: traces of the blocks that are not scanned, by path.
        feedback: backward weights of the next step under `blocks`, where they are learned.
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
    """What becomes of the gradients of a stack's units."""

    def start(self, stack: Stack) -> Any:
        """Arrays with a leading axis of units that a scan fills."""
        ...

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """The parameters of a unit, before its turn, from what is kept of it by then."""
        ...

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """What is kept of a unit, from what was kept of it before."""
        ...


class Stepping(NamedTuple):
    """Parameters and optimizer state of a stack are updated where they stand."""

    optimizer: optax.GradientTransformation
    state: State

    def start(self, stack: Stack) -> Any:
        """Both before the step."""
        return self.state.params["stacks"][stack.name], self.state.optimizer[stack.name]

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """Read from what is being filled, so that no second copy is held."""
        return kept[0]

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """After the optimizer's step."""
        params, moments = kept
        return stepped(self.optimizer, grads, moments, params)


class Collecting(NamedTuple):
    """Gradients are kept as they are."""

    state: State

    def start(self, stack: Stack) -> Any:
        """Zeros in the shape of the parameters."""
        return jax.tree.map(jnp.zeros_like, self.state.params["stacks"][stack.name])

    def params(self, stack: Stack, kept: Any, unit: Any) -> Params:
        """Those of the state."""
        return _at(self.state.params["stacks"][stack.name], unit)

    def after(self, stack: Stack, kept: Any, grads: Params) -> Any:
        """The gradient."""
        return grads


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def learn(plan: Plan, state: State, rows: Rows, keep: Keep, span: range | None = None) -> Learned:
    """The gradients of blocks and heads at one step, those of stacks kept as `keep` says.

    Args:
        plan: the plan.
        state: before the step.
        rows: of the step; they enter the first unit of the span.
        keep: what becomes of the gradients of stacks.
        span: the units that learn; all by default. Only where they learn one by one.
    """
    if plan.unit_by_unit:
        return _unit_by_unit(plan, state, rows, keep, span or range(len(plan.units)))
    return _whole(plan, state, rows, keep)


def _whole(plan: Plan, state: State, rows: Rows, keep: Keep) -> Learned:
    """By the estimator's gradient of the whole network."""
    sections = ("blocks", "stacks")
    chained = {name: state.params[name] for name in sections if name in state.params}
    context = _context(plan, state.params, state.feedback, rows, rows.noise(plan))
    estimate = plan.estimator.network_gradient(plan, chained, rows.x, context)
    grads, trace = dict(estimate.grads), jax.lax.stop_gradient(estimate.trace)
    stack_grads = grads.pop("stacks", {})
    stacks = keep_all(plan, keep, stack_grads)
    heads, metrics = heads_gradient(
        plan, plan.headed_sites(), state.params, trace.features, rows.labels
    )
    squares = optax.tree.norm((stack_grads, grads, heads), squared=True)
    feedback = None if estimate.feedback is None else {"blocks": estimate.feedback}
    return Learned(
        {**grads, **heads}, stacks, squares, metrics, trace.output, trace.layers, feedback
    )


def keep_all(plan: Plan, keep: Keep, grads: Params) -> dict[str, Any]:
    """What is kept of the gradients of all stacks, which are there at once, by name."""
    return {
        stack.name: jax.vmap(partial(keep.after, stack))(keep.start(stack), grads[stack.name])
        for stack in plan.stacks
    }


def _context(plan: Plan, params: Params, feedback: Params, rows: Rows, noise: Noise) -> Context:
    return make_context(plan, params, feedback, rows.labels, rows.key, rows.step, noise)


def _unit_by_unit(plan: Plan, state: State, rows: Rows, keep: Keep, span: range) -> Learned:
    """Every unit of the span by its own loss."""
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
    """Units and stacks with at least one unit in the span, and which of their units these are."""
    for unit_or_stack in plan.units_and_stacks():
        units = unit_or_stack.units if isinstance(unit_or_stack, Stack) else (unit_or_stack,)
        first = plan.units.index(units[0])
        inside = range(max(0, span.start - first), min(len(units), span.stop - first))
        if inside:
            yield unit_or_stack, inside


class _OfUnit(NamedTuple):
    """What one unit learns: gradients of its blocks and of its head, losses, what leaves it."""

    blocks: Params
    heads: Params
    losses: dict[str, Array]
    output: Features
    layers: Mapping[str, LayerTrace]


def _unit(
    plan: Plan, segment: Segment, params: Params, feedback: Params, rows: Rows, noise: Noise
) -> _OfUnit:
    """One unit by its own loss.

    Args:
        plan: the plan.
        segment: the unit's blocks and site.
        params: under `blocks`, `heads` and `classifier`.
        feedback: backward weights in the same structure, as drawn.
        rows: that enter it.
        noise: of its perturbations.
    """
    context = _context(plan, params, feedback, rows, noise)
    blocks = {block.name: params["blocks"][block.name] for block in segment.blocks}
    estimate = plan.estimator.gradient(plan, segment, blocks, rows.x, context)
    trace = jax.lax.stop_gradient(estimate.trace)
    sites = tuple(site for site in segment.sites if plan.place(site)[0] == "heads")
    heads, losses = heads_gradient(plan, sites, params, trace.features, rows.labels)
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
    """Scan a span of a stack: what leaves it, what is kept, losses, and the sum of squares."""
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

    # The sum of squares runs through the scan, which so cannot begin before the gradients of the
    # blocks in front are there: XLA put these off until after it, and kept all they had stored. An
    # `optimization_barrier` did nothing: XLA's CPU compiler drops it before it orders operations.
    #
    # What a turn needs of the stack is read at the end of the turn before. Read in the same turn,
    # XLA read it element by element inside of what uses it, which took a fifth of the time of 16
    # blocks; and as new parameters and new momentum each come from the old of both, it copied both
    # whole stacks at every turn.
    kept_before = keep.start(stack)
    start = (rows.x, squares, kept_before, _at((kept_before, feedback), span.start))
    (x, squares, kept, _), losses = looped(plan, one_unit, start, jnp.arange(span.start, span.stop))
    metrics = {
        f"local_loss/{stack.units[unit][1].name}": losses[f"local_loss/{site.name}"][index]
        for index, unit in enumerate(span)
    }
    return x, kept, metrics, squares
