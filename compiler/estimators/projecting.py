"""The target's gradient projected on guesses: <T, G> G and variations (Fournier et al. 2023).

Every group of tensors has a slope of its own, for each example or for the batch. Plain noise, in
`compiler.estimators.forward`, has one slope for all arrays of a segment.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.estimators.context import Context, Estimate
from compiler.estimators.example_gradients import Arrays, Contributions, Scaled, Signals, View
from compiler.estimators.formula import forward_gradient, one_by_one
from compiler.estimators.grouped_derivatives import (
    Along,
    Groups,
    Passing,
    at_rest,
    by_gradient,
    by_tangents,
    signals,
)
from compiler.estimators.guesses import signs
from compiler.estimators.guesses_from_network import guided
from compiler.estimators.projections import Toss, coefficients, members, span
from compiler.estimators.spaces import Passed
from compiler.named_arrays.random_streams import address
from compiler.network.network import forward
from compiler.plan.plan import Plan
from compiler.plan.segment import Segment
from fgspec.spec import spaces
from fgspec.spec.kinds import working
from fgspec.spec.spaces import Space

Params = Mapping[str, Any]
Features = Float[Array, "n p g c"]


def project(plan: Plan, params: Params, x: Features, context: Context) -> Estimate:
    """The projections of the target's gradient on guesses, as gradients of the weights.

    Args:
        plan: the plan; its perturbation has a projection.
        params: the parameters of the blocks, by block, layer and name.
        x: the network's input.
        context: the step.
    """
    perturbation = plan.perturbation
    assert perturbation is not None
    granularity = perturbation.projection.granularity
    assert granularity is not None
    all_blocks = Segment(plan.network.blocks, ())
    trace = forward(all_blocks.blocks, params, x)
    inputs = jax.lax.stop_gradient(plan.inputs(trace.features, x))
    space, view = _view(plan, Passed(all_blocks, params, x, trace))
    passing = Passing(space, plan.segments, params, inputs, context.losses)
    predicted: Signals = {}
    if perturbation.control_variate is not None:
        predicted = guided(perturbation.control_variate, space, context, inputs)
    zeros = at_rest(space, all_blocks, x)
    target = _target(plan, view, passing, zeros, predicted)

    def slopes(guess: Signals, sample: Any) -> Any:
        """The guess's coefficients; for a span, the coefficient of each guess for each target."""
        if granularity.spans:
            wanted = {name: target.gradient[name] for name in guess}
            return span(plan, view, wanted, guess)
        return coefficients(plan, view, target.along, guess, _toss(context, sample))

    def times(along: Any, guess: Signals) -> Signals:
        product = view.mixed if granularity.spans else view.times
        return product(guess, along)

    if perturbation.guess.made:
        guesses = guided(perturbation.guess, space, context, inputs)
        guess = {name: array for name, array in guesses.items() if _block(name) not in target.exact}
        total = forward_gradient(lambda sample: (guess, guess), slopes, times, samples=1)
    else:
        draw = _noise(plan, space, context, zeros, trace, target.exact)
        directions = one_by_one(draw, perturbation.samples)
        corrected = {
            name: array for name, array in predicted.items() if _block(name) not in target.exact
        }
        base = _as_it_is(view, corrected)
        total = forward_gradient(directions, slopes, times, perturbation.samples, base)
    exact = {name: array for name, array in target.gradient.items() if _block(name) in target.exact}
    return Estimate({"blocks": view.finish({**total, **_as_it_is(view, exact)})}, trace)


def _as_it_is(view: View, vectors: Signals) -> Signals:
    """Vectors under the names that products of the view have, multiplied by one."""
    ones = {name: jnp.ones_like(array) for name, array in view.inner(vectors, vectors).items()}
    return view.times(vectors, ones)


def _view(plan: Plan, at: Passed) -> tuple[Space, View]:
    """The space in which derivatives are computed, and their vectors.

    The examples' contributions to weights are computed from derivatives at pre-activations. Random
    noise on every example's own weights is stored as it was drawn.
    """
    perturbation, space = plan.perturbation, plan.space
    assert perturbation is not None
    assert perturbation.projection.granularity is not None
    whole = perturbation.projection.granularity.whole
    if space.of_weights and not whole and perturbation.guess.made:
        return working(spaces.Activation()), Contributions(at)
    arrays = Arrays(space, whole, at, space.shapes(at.segment, len(at.x)))
    if perturbation.projection.applies_to == "weights":
        return space, Scaled(arrays, Contributions(at))
    return space, arrays


class Target(NamedTuple):
    """The target's gradient minus its prediction.

    Attributes:
        gradient: the reverse-mode gradient: of all blocks, or only of the blocks in `exact` if
            the derivatives along guesses are computed in forward mode.
        along: computes the slopes along a guess.
        exact: the blocks that use the exact gradient.
    """

    gradient: Signals
    along: Along
    exact: frozenset[str]


def _target(plan: Plan, view: View, passing: Passing, zeros: Signals, predicted: Signals) -> Target:
    exact, reverse = plan.exact_blocks, passing
    predicted = {name: array for name, array in predicted.items() if _block(name) not in exact}
    if not plan.reverse_derivatives:
        last = Segment(plan.units[-1][0], (plan.units[-1][1],))
        reverse = passing._replace(segments=(last,) if exact else ())
    gradient = {
        name: array - predicted[name] if name in predicted else array
        for name, array in signals(reverse).items()
    }
    if plan.reverse_derivatives:
        return Target(gradient, by_gradient(view, gradient), exact)
    perturbation = plan.perturbation
    assert perturbation is not None
    assert perturbation.projection.granularity is not None
    guessed = [name for name in zeros if _block(name) not in exact]
    tangents = by_tangents(
        passing, members(plan, guessed), perturbation.projection.granularity.whole
    )
    minus_predicted = by_gradient(
        view, {**zeros, **{name: -array for name, array in predicted.items()}}
    )

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        return jax.tree.map(jnp.add, tangents(guess, groups), minus_predicted(guess, groups))

    return Target(gradient, along if predicted else tangents, exact)


def _block(name: str) -> str:
    return name.split("/")[0]


def _noise(
    plan: Plan, space: Space, context: Context, zeros: Signals, trace: Any, exact: frozenset[str]
) -> Callable[[Any], Signals]:
    """Sample index -> noise for all blocks but the exact ones; 0 where no gradient can pass."""
    perturbation = plan.perturbation
    assert perturbation is not None
    shared = perturbation.sharing == "batch" and not space.of_weights
    shapes = {
        name: (1, *array.shape[1:]) if shared else array.shape for name, array in zeros.items()
    }
    masks = {name: space.mask(name, trace) for name in zeros}

    def masked(name: str, u: Any) -> Any:
        u = jnp.broadcast_to(u, zeros[name].shape)
        return u if masks[name] is None else u * masks[name]

    def draw(sample: Any) -> Signals:
        noise = context.noise(shapes, sample)
        return {name: masked(name, u) for name, u in noise.items() if _block(name) not in exact}

    return draw


def _toss(context: Context, sample: Any) -> Toss:
    def toss(group: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return signs(address(context.key, f"coin/{group}", context.step, sample), shape)

    return toss
