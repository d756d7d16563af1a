"""Updates of stacked blocks: one body for all of them, scanned over depth.

Where every block learns from its own loss alone nothing of a block is needed once it is updated:
its gradient, its head's and its optimizer's step stand inside the body, in place, and memory does
not grow with depth. Reverse mode through all blocks stores every input.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from compiler.estimate import (
    SEGMENT_ESTIMATORS,
    Clock,
    drawn,
    make_context,
    matched,
    stored,
)
from compiler.gradient.segment import Segment, Unit
from compiler.losses.sites import site_losses
from compiler.noise import KeyData, stream_code
from compiler.passes import heads_gradient, through
from compiler.plan import Plan
from compiler.stacks import Stack
from compiler.state import stepped

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


class Rows(NamedTuple):
    """What a step trains on.

    Attributes:
        x: what enters the first block.
        labels: of its rows.
        key: raw key of the run.
        step: of the run.
    """

    x: Features
    labels: Int[Array, " n"]
    key: KeyData
    step: Int[Array, ""]


class Trained(NamedTuple):
    """What becomes of blocks and heads at a step.

    Attributes:
        grads: of all that is in no stack, without the classifier.
        stacks: parameters and optimizer state of every stack after its update, by name.
        squares: sum of the squared gradients of all but the classifier.
        metrics: losses of heads.
        output: features after the last block; no gradient reaches them.
    """

    grads: Params
    stacks: dict[str, tuple[Any, Any]]
    squares: Float[Array, ""]
    metrics: dict[str, Array]
    output: Features


def trained(plan: Plan, optimizer: optax.GradientTransformation, state: Any, rows: Rows) -> Trained:
    """Train stacks, and give the gradients of all else but the classifier.

    Args:
        plan: with stacks.
        optimizer: of single blocks as of the whole network.
        state: before the step.
        rows: of the step.
    """
    if plan.experiment.gradient.target == "local":
        return trained_locally(plan, optimizer, state, rows)
    return _globally(plan, optimizer, state, rows)


def trained_locally(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    state: Any,
    rows: Rows,
    span: range | None = None,
) -> Trained:
    """Every unit, or a span of them, by its own loss; `rows` enter the first of these."""
    span = span or range(len(plan.units))
    grads: dict[str, Any] = {"blocks": {}}
    stacks: dict[str, Any] = {}
    squares, metrics, x = jnp.zeros(()), dict[str, Array](), rows.x
    for part, inside in _parts(plan, span):
        if isinstance(part, Stack):
            x, stacks[part.name], found, squares = _stack(
                plan, optimizer, part, state, (x, squares, rows), inside
            )
            metrics |= found
            continue
        own = (state.params, state.feedback)
        segment = Segment(part[0], (part[1],))
        block, heads, losses, x = _unit(plan, segment, own, (x, rows), None)
        squares += optax.tree.norm((block, heads), squared=True)
        grads["blocks"] |= block
        grads = {**grads, **({"heads": grads.get("heads", {}) | heads["heads"]} if heads else {})}
        metrics |= losses
    return Trained(grads, stacks, squares, metrics, x)


def _parts(plan: Plan, span: range) -> Iterator[tuple[Unit | Stack, range]]:
    """Units and stacks with at least one unit in the span, and which of their units these are."""
    for part in plan.parts():
        units = part.units if isinstance(part, Stack) else (part,)
        first = plan.units.index(units[0])
        inside = range(max(0, span.start - first), min(len(units), span.stop - first))
        if inside:
            yield part, inside


def _unit(
    plan: Plan, segment: Segment, own: tuple[Any, Any], entering: tuple[Any, Rows], codes: Any
) -> tuple[Params, Params, dict[str, Array], Any]:
    """Gradients of a unit's blocks and of its head, losses, and what leaves it."""
    (params, feedback), (x, rows) = own, entering
    clock = Clock(rows.key, rows.step, drawn(plan, rows.key, rows.step, codes))
    context = make_context(plan, params, feedback, rows.labels, clock)
    blocks = {block.name: params["blocks"][block.name] for block in segment.blocks}
    kind = plan.experiment.gradient.estimator.type
    found = SEGMENT_ESTIMATORS[kind](plan, segment, blocks, x, context)
    trace = jax.lax.stop_gradient(found.trace)
    sites = tuple(site for site in segment.sites if plan.place(site)[0] == "heads")
    heads, losses = heads_gradient(plan, sites, params, trace.features, rows.labels)
    return found.grads, heads, losses, trace.output


def _stack(
    plan: Plan,
    optimizer: optax.GradientTransformation,
    stack: Stack,
    state: Any,
    entering: tuple[Any, Any, Rows],
    span: range,
) -> tuple[Features, tuple[Any, Any], dict[str, Array], Float[Array, ""]]:
    """Scan a span of a stack; its arrays are read and written in place, one unit at a time.

    The sum of squares runs through the scan, which so cannot begin before the gradients of the
    blocks in front are there and what these stored is free again.
    """
    x, squares, rows = entering
    blocks, site = stack.template
    segment, codes = Segment(blocks, (site,)), _codes(plan, stack)
    feedback = state.feedback.get("stacks", {}).get(stack.name, {})

    def at(tree: Any, index: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[index], tree)

    def one(carry: Any, index: Int[Array, ""]) -> tuple[Any, Any]:
        x, squares, params, moments = carry
        own = at(params, index)
        named = {**own, "classifier": state.params["classifier"]}
        found, heads, losses, x = _unit(
            plan, segment, (named, at(feedback, index)), (x, rows), at(codes, index)
        )
        grads = {"blocks": found, **heads}
        new, state_of = stepped(optimizer, grads, at(moments, index), own)
        whole, changed = (params, moments), (new, state_of)
        put = jax.tree.map(lambda leaf, part: leaf.at[index].set(part), whole, changed)
        return (x, squares + optax.tree.norm(grads, squared=True), *put), losses

    start = (x, squares, state.params["stacks"][stack.name], state.optimizer[stack.name])
    units = jnp.arange(span.start, span.stop)
    (x, squares, params, moments), losses = jax.lax.scan(one, start, units)
    metrics = {
        f"local_loss/{stack.units[unit][1].name}": losses[f"local_loss/{site.name}"][index]
        for index, unit in enumerate(span)
    }
    return x, (params, moments), metrics, squares


def _codes(plan: Plan, stack: Stack) -> dict[str, Any]:
    """The stream of every perturbed array of every unit, under the names of the template."""
    blocks, site = stack.template
    names = plan.perturbed(Segment(blocks, (site,)))
    return {
        name: jnp.asarray(
            np.array([stream_code(_renamed(name, to)) for to in stack.renamed()], np.uint32)
        )
        for name in names
    }


def _renamed(name: str, names: Mapping[str, str]) -> str:
    block, *rest = name.split("/")
    return "/".join(("perturbation", names[block], *rest))


def _globally(
    plan: Plan, optimizer: optax.GradientTransformation, state: Any, rows: Rows
) -> Trained:
    """One loss at the end, its errors sent back through all blocks."""
    sections = ("blocks", "stacks")
    own = {name: state.params[name] for name in sections if name in state.params}
    backward = matched(plan, state.feedback, state.params)
    losses = site_losses(plan, state.params, backward, rows.labels)
    site = plan.units[-1][1]

    def objective(own: Params) -> tuple[Float[Array, ""], Features]:
        x = through(plan, own, rows.x, backward, every=stored(plan))
        return losses(site, x).mean(), x

    grads, output = jax.grad(objective, has_aux=True)(own)
    output = jax.lax.stop_gradient(output)
    of_stacks = grads.pop("stacks")
    stacks = {
        name: jax.vmap(partial(stepped, optimizer))(
            part, state.optimizer[name], state.params["stacks"][name]
        )
        for name, part in of_stacks.items()
    }
    heads, metrics = heads_gradient(
        plan, plan.headed_sites(), state.params, {site.block: output}, rows.labels
    )
    squares = optax.tree.norm((of_stacks, grads, heads), squared=True)
    return Trained({**grads, **heads}, stacks, squares, metrics, output)
