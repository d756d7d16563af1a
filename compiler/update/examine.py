"""Checks for NaN and infinity: in the state of a run, and where in a step they first appear."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from compiler.named_arrays.paths import flatten
from compiler.network.network import forward
from compiler.plan.plan import KEPT, Plan
from compiler.plan.sharding import traced_on
from compiler.plan.stacks import Stack
from compiler.update.forward_passes import views
from compiler.update.state import State, by_name, rest

Gradient = Callable[[State, Mapping[str, Array]], tuple[Mapping[str, Any], Mapping[str, Array]]]
Update = Callable[[State, Mapping[str, Array]], tuple[State, Mapping[str, Array]]]


class _Watched(NamedTuple):
    """An array of a state and its name; for an array of a stack, one name per unit."""

    names: tuple[str, ...]
    array: Any


def are_finite(plan: Plan, state: State) -> Bool[Array, " n"]:
    """For every array of a state, in the order of `_watched`: whether all numbers are finite."""
    finite: list[Array] = []
    for watched in _watched(plan, state):
        arrays = watched.array.reshape(len(watched.names), -1)
        finite.append(jnp.isfinite(arrays).all(axis=1))
    return jnp.concatenate(finite)


def not_finite(plan: Plan, state: State, finite: Bool[np.ndarray, " n"]) -> list[str]:
    """The names of the arrays of a state that are not finite, in the order of the network.

    Args:
        plan: the plan.
        state: the state or its shapes.
        finite: the result of `are_finite`.
    """
    names = [name for watched in _watched(plan, state) for name in watched.names]
    bad = [name for name, good in zip(names, finite, strict=True) if not good]
    return sorted(bad, key=_place(plan))


def _watched(plan: Plan, state: State) -> Iterator[_Watched]:
    """All floating-point arrays of a state; those of stacks have one name per unit."""
    for path, array in flatten(rest(state.params)).items():
        yield _Watched((f"parameter {path}",), array)
    for stack in plan.stacks:
        for path, array in flatten(state.params["stacks"][stack.name]).items():
            yield _Watched(tuple(f"parameter {name}" for name in _of_units(stack, path)), array)
    others = {
        "running statistics": state.statistics,
        "backward weights": {k: tree for k, tree in state.feedback.items() if k != KEPT},
        "kept for perturbations": state.feedback.get(KEPT, {}),
        "optimizer": state.optimizer,
    }
    for kind, tree in others.items():
        for path, array in jax.tree_util.tree_leaves_with_path(tree):
            if jnp.issubdtype(array.dtype, jnp.floating):
                yield _Watched((f"{kind} {jax.tree_util.keystr(path)}",), array)


def _of_units(stack: Stack, path: str) -> list[str]:
    """A path in a stack's template, under the names of every unit."""
    section, name, *names_below = path.split("/")
    (_, site), paths = stack.template, list[str]()
    for names, (_, unit_site) in zip(stack.renamed(), stack.units, strict=True):
        own_name = (
            unit_site.name if section == "heads" and name == site.name else names.get(name, name)
        )
        paths.append("/".join((section, own_name, *names_below)))
    return paths


def _place(plan: Plan) -> Callable[[str], tuple[int, int]]:
    """A sort key for names: parameters first, block by block and layer by layer."""
    layers = [
        f"parameter blocks/{block.name}/{layer.name}"
        for block in plan.network.blocks
        for layer in block.layers
    ]
    order = {name: index for index, name in enumerate(layers)}
    sections = ("parameter blocks", "parameter heads", "parameter classifier", "parameter")

    def place(name: str) -> tuple[int, int]:
        section = next(
            (index for index, start in enumerate(sections) if name.startswith(start)), len(sections)
        )
        return section, order.get("/".join(name.split("/")[:3]), len(order))

    return place


class Seen(NamedTuple):
    """One quantity of a step.

    Attributes:
        quantity: `activation`, `loss`, `gradient`, `update`, `state` or `norm`.
        where: the name of the block, layer or array.
        largest: the largest absolute value among the finite numbers.
        not_finite: how many numbers are not finite.
        size: how many numbers there are.
    """

    quantity: str
    where: str
    largest: float
    not_finite: int
    size: int


def examined(
    plan: Plan, state: State, batch: Mapping[str, Array], gradient: Gradient, update: Update
) -> list[Seen]:
    """The quantities of one step, in the order in which it computes them.

    Args:
        plan: the plan, on one device.
        state: the state before the step.
        batch: the batch of the step.
        gradient: `Program.gradient`.
        update: `Program.update`, which donates the buffers of the state that it is given.
    """
    state_by_block = by_name(plan, state)
    seen = traced_on(plan, lambda: list(_activations(plan, state_by_block, batch)))()
    grads, metrics = gradient(state, batch)
    seen += [_seen("loss", name, value) for name, value in sorted(metrics.items())]
    place = _place(plan)

    def in_order(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return sorted(flatten(tree).items(), key=lambda item: place(f"parameter {item[0]}"))

    seen += [_seen("gradient", path, array) for path, array in in_order(grads)]
    new, step_metrics = update(jax.tree.map(jnp.copy, state), batch)
    before, after = flatten(state_by_block.params), dict(in_order(by_name(plan, new).params))
    seen += [_seen("update", path, array - before[path]) for path, array in after.items()]
    seen += [_seen("state", path, array) for path, array in after.items()]
    seen += [
        _seen("state", watched.names[0], watched.array)
        for watched in _watched(plan, new)
        if not watched.names[0].startswith("parameter")
    ]
    # Norms come last: they overflow before any other quantity, and name no block.
    return seen + [
        _seen("norm", name, array) for name, array in step_metrics.items() if name not in metrics
    ]


def _activations(plan: Plan, state: State, batch: Mapping[str, Array]) -> Iterator[Seen]:
    x = views(plan, batch, state.key, state.step)
    trace = forward(plan.network.blocks, state.params.get("blocks", {}), x)
    yield _seen("activation", "input of the network", x)
    for block in plan.network.blocks:
        for layer in block.layers:
            path = f"{block.name}/{layer.name}"
            yield _seen("activation", f"input of {path}", trace.layers[path].input)
        yield _seen("activation", f"output of {block.name}", trace.features[block.name])
    read = plan.network.classified(trace.features)
    logits, _ = plan.network.classifier.outputs(state.params["classifier"], read)
    yield _seen("activation", "output of classifier", logits)


def _seen(quantity: str, where: str, array: Any) -> Seen:
    values = np.asarray(array, np.float64)
    finite = np.isfinite(values)
    largest = float(np.abs(values[finite]).max()) if finite.any() else 0.0
    return Seen(quantity, where, largest, int((~finite).sum()), values.size)


def first_broken(seen: Sequence[Seen]) -> Seen | None:
    """The first quantity that is not finite."""
    return next((quantity for quantity in seen if quantity.not_finite), None)
