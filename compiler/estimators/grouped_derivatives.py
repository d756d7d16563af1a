"""Derivatives of a target along guesses, of which every group of tensors has its own.

Two ways to the same numbers: inner products of the guesses with the target's gradient, which is
one reverse pass for all groups and samples, or a tangent for each group and sample.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Losses
from compiler.estimators.example_gradients import Signals, View
from compiler.named_arrays.precision import precise_type
from compiler.plan.segment import Segment
from fgspec.spec.spaces import Space

Tree = Mapping[str, Any]
Groups = Mapping[str, Sequence[str]]
"""The tensors that share a derivative, by the group's title."""

Along = Callable[[Signals, Groups], dict[str, Float[Array, "..."]]]
"""(guess by tensor, groups) -> derivatives along it by title: [n], or [] for the whole batch."""


class Passing(NamedTuple):
    """What the losses of a target depend on.

    Attributes:
        space: whose arrays they depend on.
        segments: their losses add up; they may overlap.
        params: of all blocks, by block, layer and name.
        inputs: of every block, by block.
        losses: of the segments' sites.
    """

    space: Space
    segments: Sequence[Segment]
    params: Tree
    inputs: Tree
    losses: Losses

    def objectives(self) -> Iterator[tuple[Tree, Callable[[Tree], Float[Array, " n"]]]]:
        """Of every segment zeros in the shapes of the space, and its mean loss by examples."""
        for segment in self.segments:
            own = {block.name: self.params[block.name] for block in segment.blocks}
            x = self.inputs[segment.blocks[0].name]

            def examples(by: Tree, segment: Any = segment, own: Any = own, x: Any = x) -> Any:
                trace = self.space.run(segment.blocks, own, x, by)
                found = [self.losses(site, trace.features[site.block]) for site in segment.sites]
                return sum(found[1:], found[0]) / len(x)

            yield at_rest(self.space, segment, x), examples


def at_rest(
    space: Space, segment: Segment, x: Float[Array, "n p g c"]
) -> dict[str, Float[Array, "..."]]:
    """Zeros in the shape of everything that a space perturbs in a segment, for an input x."""
    shapes = space.shapes(segment, len(x))
    return {name: jnp.zeros(shape, precise_type(x)) for name, shape in shapes.items()}


def signals(passing: Passing) -> dict[str, Float[Array, "..."]]:
    """Reverse-mode derivatives of mean losses at what a space perturbs, summed over segments."""
    found: dict[str, Any] = {}
    for still, examples in passing.objectives():
        gradient = jax.grad(lambda by, examples=examples: examples(by).sum())(still)
        for name, part in gradient.items():
            found[name] = found[name] + part if name in found else part
    return found


def total(parts: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The sum of what stands under the names."""
    return sum((parts[name] for name in names[1:]), parts[names[0]])


def by_gradient(view: View, gradient: Signals) -> Along:
    """Inner products with the target's gradient."""

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        parts = view.inner({name: gradient[name] for name in guess}, guess)
        return {title: total(parts, names) for title, names in groups.items()}

    return along


def by_tangents(passing: Passing, groups: Groups, whole: bool) -> Along:
    """Tangents of the losses of examples, of each group through the blocks behind it.

    Args:
        passing: no loss depends on another example, unless the whole batch has one derivative.
        groups: of the names of what the space perturbs.
        whole: whether the batch has one derivative.
    """
    pushes: dict[str, list[tuple[list[str], Any]]] = {title: [] for title in groups}
    for still, examples in passing.objectives():
        for title, names in groups.items():
            moved = {name: still[name] for name in names if name in still}
            if not moved:
                continue

            def of_group(by: Tree, still: Any = still, examples: Any = examples) -> Any:
                return examples({**still, **by})

            pushes[title].append((list(moved), jax.linearize(of_group, moved)[1]))

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        found = {}
        for title in groups:
            parts = [push({name: guess[name] for name in names}) for names, push in pushes[title]]
            each = jnp.stack(parts).sum(0)
            found[title] = each.sum() if whole else each
        return found

    return along
