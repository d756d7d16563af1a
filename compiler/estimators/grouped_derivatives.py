"""Derivatives of a target along guesses, one for each group of tensors.

There are two ways to the same numbers. `by_gradient` takes inner products of the guesses with the
target's gradient: one reverse pass serves all groups and samples. `by_tangents` pushes each group
of each sample forward by itself.
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
"""Title of a group -> the names of its tensors, which share one derivative."""

Along = Callable[[Signals, Groups], dict[str, Float[Array, "..."]]]
"""(guess by tensor, groups) -> derivatives by title: [n], or [] if the batch has one."""


class Passing(NamedTuple):
    """A target as a function of the arrays of a space.

    Attributes:
        space: the space whose arrays the losses depend on.
        segments: their losses are added; segments may overlap.
        params: the parameters of all blocks, by block, layer and name.
        inputs: the input of every block, by block.
        losses: the copies of a site's loss, from its features.
    """

    space: Space
    segments: Sequence[Segment]
    params: Tree
    inputs: Tree
    losses: Losses

    def objectives(self) -> Iterator[tuple[Tree, Callable[[Tree], Float[Array, " n"]]]]:
        """For every segment: zeros in the shapes of the space, and perturbations -> losses [n].

        A loss is divided by the batch size, so that their sum is the mean.
        """
        for segment in self.segments:
            block_params = {block.name: self.params[block.name] for block in segment.blocks}
            x = self.inputs[segment.blocks[0].name]

            def examples(
                by: Tree, segment: Any = segment, block_params: Any = block_params, x: Any = x
            ) -> Any:
                trace = self.space.run(segment.blocks, block_params, x, by)
                site_copies = [
                    self.losses(site, trace.features[site.block]) for site in segment.sites
                ]
                return sum(site_copies[1:], site_copies[0]) / len(x)

            yield at_rest(self.space, segment, x), examples


def at_rest(
    space: Space, segment: Segment, x: Float[Array, "n p g c"]
) -> dict[str, Float[Array, "..."]]:
    """Zeros in the shapes of all arrays that a space perturbs in a segment, for an input x."""
    shapes = space.shapes(segment, len(x))
    return {name: jnp.zeros(shape, precise_type(x)) for name, shape in shapes.items()}


def signals(passing: Passing) -> dict[str, Float[Array, "..."]]:
    """Reverse-mode derivatives of the mean losses, by perturbed array, summed over segments."""
    derivatives: dict[str, Any] = {}
    for zeros, examples in passing.objectives():
        gradient = jax.grad(lambda by, examples=examples: examples(by).sum())(zeros)
        for name, array in gradient.items():
            derivatives[name] = derivatives[name] + array if name in derivatives else array
    return derivatives


def total(arrays: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The sum of the arrays with the given names."""
    return sum((arrays[name] for name in names[1:]), arrays[names[0]])


def by_gradient(view: View, gradient: Signals) -> Along:
    """Inner products with the target's gradient."""

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        products = view.inner({name: gradient[name] for name in guess}, guess)
        return {title: total(products, names) for title, names in groups.items()}

    return along


def by_tangents(passing: Passing, groups: Groups, whole: bool) -> Along:
    """Tangents of the examples' losses, one for each group.

    Args:
        passing: the target. Unless `whole`, no example's loss may depend on another example.
        groups: the names of the perturbed arrays in each group.
        whole: whether the batch has one derivative instead of one per example.
    """
    pushes: dict[str, list[tuple[list[str], Any]]] = {title: [] for title in groups}
    for zeros, examples in passing.objectives():
        for title, names in groups.items():
            moved = {name: zeros[name] for name in names if name in zeros}
            if not moved:
                continue

            def of_group(by: Tree, zeros: Any = zeros, examples: Any = examples) -> Any:
                return examples({**zeros, **by})

            pushes[title].append((list(moved), jax.linearize(of_group, moved)[1]))

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        derivatives = {}
        for title in groups:
            tangents = [
                push({name: guess[name] for name in names}) for names, push in pushes[title]
            ]
            tangent = jnp.stack(tangents).sum(0)
            derivatives[title] = tangent.sum() if whole else tangent
        return derivatives

    return along
