"""The optimizer of a spec as one optax transformation."""

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from compiler.named_arrays.paths import flatten, unflatten
from compiler.optimizers.paths import named, scaled
from fgspec.spec.kinds import working
from fgspec.spec.optimizers import Factors, Optimizer


def make_optimizer(
    spec: Optimizer, steps: int, per_epoch: int, weights: Collection[str]
) -> optax.GradientTransformation:
    """Transform, then the learning rate of the step, then the factors of the readouts.

    Where weights decay after the factors, these stand in front of the decay instead.

    Args:
        spec: the section `optimizer`.
        steps: updates of the whole run.
        per_epoch: updates of one epoch.
        weights: paths of the parameters that are weights; these alone decay.
    """

    def are_weights(params: Any) -> Any:
        return named(params, lambda path: path in weights)

    optimizer, schedule = working(spec), working(spec.schedule)
    rate = optax.scale_by_learning_rate(schedule.rate(spec.learning_rate, steps, per_epoch))
    decay = optax.add_decayed_weights(spec.weight_decay, mask=are_weights)
    factors = _factors(spec.factors)
    if spec.decay_after_factors:
        decay, factors = optax.chain(factors, decay), optax.identity()
    return optax.chain(
        *optimizer.before_rate(decay, are_weights), rate, *optimizer.after_rate(), factors
    )


def without(
    optimizer: optax.GradientTransformation, frozen: Collection[str]
) -> optax.GradientTransformation:
    """An optimizer that steps as if there were no gradient of some parameters, and leaves these.

    Args:
        optimizer: whose weight decay does not act on them.
        frozen: their paths.
    """

    def still(tree: Any) -> Any:
        # Added to a number, a negative zero alone leaves its every bit.
        flat = flatten(tree)
        return unflatten({p: -jnp.zeros_like(x) if p in frozen else x for p, x in flat.items()})

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # At both ends: momentum gathers nothing, and whatever an optimizer adds moves nothing.
        steps, new = optimizer.update(still(updates), state, params)
        return still(steps), new

    # Its state is that of the optimizer, so that a fork may freeze what its parent trained.
    return optax.GradientTransformation(optimizer.init, update)


def learning_rate(spec: Optimizer, steps: int, per_epoch: int, step: int) -> float:
    """The learning rate of the update after `step` of them, before the factors of the readouts.

    Args:
        spec: the section `optimizer`.
        steps: updates of the whole run.
        per_epoch: updates of one epoch.
        step: updates done.
    """
    schedule = working(spec.schedule).rate(spec.learning_rate, steps, per_epoch)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes step counts with floats
        rate = schedule(step)
    return float(str(np.float32(rate)))  # the shortest that is the same float32


def _factors(factors: Factors) -> optax.GradientTransformation:
    """Steps of the readouts multiplied by their factors."""
    by_section = {"heads": factors.heads, "classifier": factors.classifier}

    def scale(path: str) -> float:
        return by_section.get(path.split("/")[0], 1.0)

    return optax.stateless(lambda updates, params: scaled(updates, scale))
