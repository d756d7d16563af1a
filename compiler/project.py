"""The estimator that projects whole target gradients on guesses (Fournier et al. 2023)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from compiler.gradient.credit import WEIGHTS
from compiler.gradient.projected import Coin, Projection, coefficients, signals, span
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
    target = signals(space, plan.segments, params, inputs, losses)
    if perturbation.learned:
        guess = guided(perturbation.guess.type, space, source, inputs)
        estimate = _along(view, how, (target, guess), plan.exact_blocks, _coin(source, 0))
    else:
        masks = {name: SPACES[space].mask(name, trace) for name in target}
        predicted = _predicted(space, source, inputs)
        estimate = _along_noise(view, how, (target, masks), source, predicted)
    return Estimate(view.finish(estimate), trace)


def _view(perturbation: Perturbation, how: Projection, at: Passed) -> tuple[str, View]:
    """The space whose derivatives are taken, and what they are seen as.

    Contributions of examples to weights are made from the derivatives at pre-activations.
    """
    if perturbation.space == "weight" and how.granularity != "batch":
        return "activation", Contributions(at)
    space = perturbation.space
    shapes = SPACES[space].shapes(at.segment, len(at.x))
    return space, Arrays(space, how.granularity == "batch", at, shapes)


def _along(
    view: View,
    how: Projection,
    pair: tuple[Signals, Signals],
    exact: frozenset[str],
    coin: Coin,
) -> Signals:
    """The estimate along one guess; blocks in `exact` take the target as it is."""
    target, guess = pair
    whole = {name: target[name] for name in target if _block(name) in exact}
    ours = {name: target[name] for name in target if name not in whole}
    guesses = {name: guess[name] for name in ours}
    if how.granularity == "span":
        found = view.mixed(guesses, span(view, ours, guesses, how))
    else:
        found = view.times(guesses, coefficients(view, ours, guesses, how, coin))
    ones = {name: jnp.ones_like(part) for name, part in view.inner(whole, whole).items()}
    return {**found, **view.times(whole, ones)}


def _block(name: str) -> str:
    return name.split("/")[0]


def _predicted(space: str, source: Source, inputs: Params) -> Signals | None:
    perturbation = source.plan.experiment.gradient.perturbation
    name = perturbation.control_variate if perturbation is not None else None
    return guided(name, space, source, inputs) if name is not None else None


def _along_noise(
    view: View,
    how: Projection,
    pair: tuple[Signals, Mapping[str, Any]],
    source: Source,
    predicted: Signals | None,
) -> Signals:
    """The mean of the estimates along K random guesses, around what is predicted.

    `pair` holds the targets and what masks the noise: behind a silent ReLU there is no gradient.
    """
    plan, (target, masks) = source.plan, pair
    base = {} if predicted is None else predicted
    left = {name: part - base[name] if name in base else part for name, part in target.items()}
    perturbation = plan.experiment.gradient.perturbation
    assert perturbation is not None
    shared = perturbation.sharing == "batch" and perturbation.space not in WEIGHTS

    def noise(name: str, part: Any, sample: Any) -> Any:
        shape = (1, *part.shape[1:]) if shared else part.shape
        u = jnp.broadcast_to(source.noise(name, shape, sample), part.shape)
        return u if masks[name] is None else u * masks[name]

    def along(sample: Any) -> Signals:
        guess = {name: noise(name, part, sample) for name, part in left.items()}
        return _along(view, how, (left, guess), plan.exact_blocks, _coin(source, sample))

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
