"""The estimator that projects whole target gradients on guesses (Fournier et al. 2023)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.along import Along, Groups, Passing, at_rest, by_gradient, by_tangents
from compiler.gradient.credit import WEIGHTS
from compiler.gradient.projected import (
    Coin,
    Projection,
    coefficients,
    members,
    signals,
    span,
)
from compiler.gradient.segment import Estimate, Losses, Segment
from compiler.gradient.spaces import SPACES, Passed
from compiler.gradient.views import Arrays, Contributions, Signals, View
from compiler.guides import Source, guided
from compiler.network.network import forward
from compiler.noise import GUESSES, address
from fgspec.spec.gradient import Perturbation

Params = Mapping[str, Any]


def project(
    how: Projection, params: Params, x: Float[Array, "n p g c"], losses: Losses, source: Source
) -> Estimate:
    """The projections of the target's gradient on guesses, as gradients of the weights.

    Args:
        how: the projection.
        params: of the blocks, by block, layer and name.
        x: the network's input.
        losses: of the target's sites.
        source: of the guesses.
    """
    plan = source.plan
    perturbation = plan.experiment.gradient.perturbation
    assert perturbation is not None
    whole = Segment(plan.network.blocks, ())
    trace = forward(whole.blocks, params, x)
    inputs = jax.lax.stop_gradient(plan.inputs(trace.features, x))
    space, view = _view(perturbation, how, Passed(whole, params, x, trace))
    passing = Passing(space, plan.segments, params, inputs, losses)
    still = at_rest(space, whole, len(x))
    masks = {name: SPACES[space].mask(name, trace) for name in still}
    around = Around(still, masks, _predicted(space, source, inputs))
    target = _target(view, how, passing, source, around)
    if perturbation.learned:
        guess = guided(perturbation.guess.type, space, source, inputs)
        estimate = _along(view, how, target, guess, _coin(source, 0))
    else:
        estimate = _along_noise(view, how, target, source, around)
    return Estimate(view.finish(estimate), trace)


class Around(NamedTuple):
    """What noise stands on, by the names of what the space perturbs.

    Attributes:
        still: zeros.
        masks: what noise is multiplied by: behind a silent ReLU there is no gradient.
        predicted: of the target, by a control variate; noise corrects the rest.
    """

    still: Signals
    masks: Mapping[str, Any]
    predicted: Signals


class Target(NamedTuple):
    """The target, less what is predicted of it.

    Attributes:
        gradient: in reverse mode, of everything, or of the exact blocks where guesses are pushed.
        along: its derivatives.
        exact: blocks that take the gradient as it is.
    """

    gradient: Signals
    along: Along
    exact: frozenset[str]


def _target(
    view: View, how: Projection, passing: Passing, source: Source, around: Around
) -> Target:
    plan, predicted = source.plan, around.predicted
    exact, whole = plan.exact_blocks, passing
    if how.derivative == "forward":
        last = Segment(plan.units[-1][0], (plan.units[-1][1],))
        whole = passing._replace(segments=(last,) if exact else ())
    gradient = {
        name: part - predicted[name] if name in predicted else part
        for name, part in signals(whole).items()
    }
    if how.derivative != "forward":
        return Target(gradient, by_gradient(view, gradient), exact)
    guessed = [name for name in around.still if _block(name) not in exact]
    tangents = by_tangents(passing, members(guessed, how), how.granularity == "batch")
    less = {**around.still, **{name: -part for name, part in predicted.items()}}
    left = by_gradient(view, less)

    def along(guess: Signals, groups: Groups) -> dict[str, Float[Array, "..."]]:
        return jax.tree.map(jnp.add, tangents(guess, groups), left(guess, groups))

    return Target(gradient, along if predicted else tangents, exact)


def _view(perturbation: Perturbation, how: Projection, at: Passed) -> tuple[str, View]:
    """The space whose derivatives are taken, and what they are seen as.

    Contributions of examples to weights are made from the derivatives at pre-activations.
    """
    if perturbation.space == "weight" and how.granularity != "batch":
        return "activation", Contributions(at)
    space = perturbation.space
    shapes = SPACES[space].shapes(at.segment, len(at.x))
    return space, Arrays(space, how.granularity == "batch", at, shapes)


def _along(view: View, how: Projection, target: Target, guess: Signals, coin: Coin) -> Signals:
    """The estimate along one guess; exact blocks take the target as it is."""
    whole = {n: part for n, part in target.gradient.items() if _block(n) in target.exact}
    guesses = {name: part for name, part in guess.items() if _block(name) not in target.exact}
    if how.granularity == "span":
        targets = {name: target.gradient[name] for name in guesses}
        found = view.mixed(guesses, span(view, targets, guesses, how))
    else:
        found = view.times(guesses, coefficients(view, target.along, guesses, how, coin))
    ones = {name: jnp.ones_like(part) for name, part in view.inner(whole, whole).items()}
    return {**found, **view.times(whole, ones)}


def _block(name: str) -> str:
    return name.split("/")[0]


def _predicted(space: str, source: Source, inputs: Params) -> Signals:
    perturbation = source.plan.experiment.gradient.perturbation
    name = perturbation.control_variate if perturbation is not None else None
    return guided(name, space, source, inputs) if name is not None else {}


def _along_noise(
    view: View, how: Projection, target: Target, source: Source, around: Around
) -> Signals:
    """The mean of the estimates along K random guesses, around what is predicted."""
    still, masks, base = around
    perturbation = source.plan.experiment.gradient.perturbation
    assert perturbation is not None
    shared = perturbation.sharing == "batch" and perturbation.space not in WEIGHTS
    shapes = {name: (1, *part.shape[1:]) if shared else part.shape for name, part in still.items()}

    def masked(name: str, u: Any) -> Any:
        u = jnp.broadcast_to(u, still[name].shape)
        return u if masks[name] is None else u * masks[name]

    def along(sample: Any) -> Signals:
        drawn = source.noise(shapes, sample)
        guess = {name: masked(name, u) for name, u in drawn.items()}
        return _along(view, how, target, guess, _coin(source, sample))

    def add(total: Signals, sample: Any) -> tuple[Signals, None]:
        return jax.tree.map(jnp.add, total, along(sample)), None

    total = along(0)
    if how.samples > 1:
        total, _ = jax.lax.scan(add, total, jnp.arange(1, how.samples))
    return {
        name: part / how.samples + base[name] if name in base else part / how.samples
        for name, part in total.items()
    }


def _coin(source: Source, sample: Any) -> Coin:
    def coin(group: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
        stream = address(source.key, f"coin/{group}", source.step, sample)
        return GUESSES["rademacher"].draw(stream, shape, ())

    return coin
