"""The optimizer of a spec as one optax transformation."""

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from compiler.named_arrays.paths import flatten, unflatten
from compiler.optimizers.average import averaging
from compiler.optimizers.paths import named, scaled
from fgspec.spec.kinds import working
from fgspec.spec.optimizers import Factors, Optimizer


def make_optimizer(
    spec: Optimizer, steps: int, per_epoch: int, weights: Collection[str]
) -> optax.GradientTransformation:
    """Average gradients, clip, transform, then the rate of the step, then the factors of parts.

    A clipping of the whole gradient is not part of it: see `together`. Where weights decay after
    the factors, these stand in front of the decay instead.

    Args:
        spec: the section `optimizer`.
        steps: updates of the whole run.
        per_epoch: updates of one epoch.
        weights: paths of the parameters that are weights; these alone decay.
    """

    def are_weights(params: Any) -> Any:
        return named(params, lambda path: path in weights)

    optimizer, schedule = working(spec), working(spec.schedule)
    rate_of_batch, batches = schedule.rate(spec.learning_rate, steps, per_epoch), spec.accumulate
    rate_of_step = rate_of_batch if batches == 1 else lambda step: rate_of_batch(step * batches)
    rate = optax.scale_by_learning_rate(rate_of_step)
    decay = optax.add_decayed_weights(spec.weight_decay, mask=are_weights)
    if any(part.decay != 1 for part in spec.factors.parts):
        decay = _of_scaled(decay, spec.factors)
    factors = optax.stateless(lambda updates, params: scaled(updates, spec.factors.rate))
    if spec.decay_after_factors:
        decay, factors = optax.chain(factors, decay), optax.identity()
    average = [] if spec.average is None else [averaging(spec.average.decay)]
    made = optax.chain(
        *optimizer.before_rate(decay, are_weights),
        rate,
        *optimizer.after_rate(),
        factors,
        *average,
    )
    clip = () if spec.clip.whole else working(spec.clip).transformations()
    made = _after(optax.chain(*clip), made) if clip else made
    return made if batches == 1 else optax.MultiSteps(made, batches).gradient_transformation()


def _after(clip: Any, made: optax.GradientTransformation) -> optax.GradientTransformation:
    """A transformation of clipped gradients; its state is the same, so that a run may fork."""

    def update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return made.update(clip.update(grads, clip.init(grads))[0], state, params)

    # Of the same signature as every transformation of optax that reads parameters.
    return optax.GradientTransformation(made.init, update)  # pyright: ignore[reportArgumentType]


def together(spec: Optimizer) -> optax.GradientTransformation | None:
    """What needs the gradients of all parameters at once, before any of them is stepped, if any."""
    return optax.chain(*working(spec.clip).transformations()) if spec.clip.whole else None


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
        return unflatten(
            {path: -jnp.zeros_like(x) if path in frozen else x for path, x in flat.items()}
        )

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
        rate = schedule(step - step % spec.accumulate)
    return float(str(np.float32(rate)))  # the shortest that is the same float32


def _of_scaled(
    decay: optax.GradientTransformation, factors: Factors
) -> optax.GradientTransformation:
    """Weight decay that sees every weight times its factor."""

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return decay.update(updates, state, scaled(params, factors.decay))

    # Of the same signature as every transformation of optax that reads parameters.
    return optax.GradientTransformation(decay.init, update)  # pyright: ignore[reportArgumentType]
