"""The target's gradient projected on guesses, <T, G> G and variations (Fournier et al. 2023).

A slope of its own for every group of tensors, and for every example or the batch, in place of one
for all that moves together.
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
        plan: the plan.
        params: of the blocks, by block, layer and name.
        x: the network's input.
        context: of the step.
    """
    how = plan.perturbation
    assert how is not None
    granularity = how.projection.granularity
    assert granularity is not None
    whole = Segment(plan.network.blocks, ())
    trace = forward(whole.blocks, params, x)
    inputs = jax.lax.stop_gradient(plan.inputs(trace.features, x))
    space, view = _view(plan, Passed(whole, params, x, trace))
    passing = Passing(space, plan.segments, params, inputs, context.losses)
    predicted: Signals = {}
    if how.control_variate is not None:
        predicted = guided(how.control_variate, space, context, inputs)
    still = at_rest(space, whole, x)
    target = _target(plan, view, passing, still, predicted)

    def slopes(guess: Signals, sample: Any) -> Any:
        """The coefficients of a guess; of a span also how much of each guess a target takes."""
        if granularity.spans:
            wanted = {name: target.gradient[name] for name in guess}
            return span(plan, view, wanted, guess)
        return coefficients(plan, view, target.along, guess, _toss(context, sample))

    def times(along: Any, guess: Signals) -> Signals:
        product = view.mixed if granularity.spans else view.times
        return product(guess, along)

    if how.guess.made:
        made = guided(how.guess, space, context, inputs)
        guess = {name: part for name, part in made.items() if _block(name) not in target.exact}
        total = forward_gradient(lambda sample: (guess, guess), slopes, times, samples=1)
    else:
        draw = _noise(plan, space, context, still, trace, target.exact)
        directions = one_by_one(draw, how.samples)
        corrected = {n: part for n, part in predicted.items() if _block(n) not in target.exact}
        base = _as_it_is(view, corrected)
        total = forward_gradient(directions, slopes, times, how.samples, base)
    exact = {n: part for n, part in target.gradient.items() if _block(n) in target.exact}
    return Estimate({"blocks": view.finish({**total, **_as_it_is(view, exact)})}, trace)


def _as_it_is(view: View, vectors: Signals) -> Signals:
    """Vectors under the names that products of the view have, multiplied by one."""
    ones = {name: jnp.ones_like(part) for name, part in view.inner(vectors, vectors).items()}
    return view.times(vectors, ones)


def _view(plan: Plan, at: Passed) -> tuple[Space, View]:
    """The space whose derivatives are taken, and what they are seen as.

    Contributions of examples to weights are made from the derivatives at pre-activations; noise of
    every example's own weights is held as it is drawn.
    """
    how, space = plan.perturbation, plan.space
    assert how is not None
    assert how.projection.granularity is not None
    whole = how.projection.granularity.whole
    if space.of_weights and not whole and how.guess.made:
        return working(spaces.Activation()), Contributions(at)
    arrays = Arrays(space, whole, at, space.shapes(at.segment, len(at.x)))
    if how.projection.applies_to == "weights":
        return space, Scaled(arrays, Contributions(at))
    return space, arrays


class Target(NamedTuple):
    """The target, less what is predicted of it.

    Attributes:
        gradient: in reverse mode, of everything, or of the exact blocks where guesses are pushed.
        along: its slopes.
        exact: blocks that take the gradient as it is.
    """

    gradient: Signals
    along: Along
    exact: frozenset[str]


def _target(plan: Plan, view: View, passing: Passing, still: Signals, predicted: Signals) -> Target:
    exact, whole = plan.exact_blocks, passing
    predicted = {name: part for name, part in predicted.items() if _block(name) not in exact}
    if not plan.reverse_derivatives:
        last = Segment(plan.units[-1][0], (plan.units[-1][1],))
        whole = passing._replace(segments=(last,) if exact else ())
    gradient = {
        name: part - predicted[name] if name in predicted else part
        for name, part in signals(whole).items()
    }
    if plan.reverse_derivatives:
        return Target(gradient, by_gradient(view, gradient), exact)
    how = plan.perturbation
    assert how is not None
    assert how.projection.granularity is not None
    guessed = [name for name in still if _block(name) not in exact]
    tangents = by_tangents(passing, members(plan, guessed), how.projection.granularity.whole)
    left = by_gradient(view, {**still, **{name: -part for name, part in predicted.items()}})

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        return jax.tree.map(jnp.add, tangents(guess, groups), left(guess, groups))

    return Target(gradient, along if predicted else tangents, exact)


def _block(name: str) -> str:
    return name.split("/")[0]


def _noise(
    plan: Plan, space: Space, context: Context, still: Signals, trace: Any, exact: frozenset[str]
) -> Callable[[Any], Signals]:
    """Sample -> noise on all blocks but exact ones; behind a silent unit there is no gradient."""
    how = plan.perturbation
    assert how is not None
    shared = how.sharing == "batch" and not space.of_weights
    shapes = {name: (1, *part.shape[1:]) if shared else part.shape for name, part in still.items()}
    masks = {name: space.mask(name, trace) for name in still}

    def masked(name: str, u: Any) -> Any:
        u = jnp.broadcast_to(u, still[name].shape)
        return u if masks[name] is None else u * masks[name]

    def draw(sample: Any) -> Signals:
        noise = context.noise(shapes, sample)
        return {name: masked(name, u) for name, u in noise.items() if _block(name) not in exact}

    return draw


def _toss(context: Context, sample: Any) -> Toss:
    def toss(group: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return signs(address(context.key, f"coin/{group}", context.step, sample), shape)

    return toss
