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
    """The optimizer: accumulation, clipping, the method, the learning rate, factors of parts.

    They act in this order, but weight decay after the factors where the method says so. Clipping by
    the norm of the whole gradient is not part of it, see `together`.

    Args:
        spec: the section `optimizer`.
        steps: the number of updates of the whole run.
        per_epoch: the number of updates of one epoch.
        weights: the paths of the parameters that are weights; only these decay.
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
    """`made` on clipped gradients; its state stays as it is, so that a fork may add clipping."""

    def update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        return made.update(clip.update(grads, clip.init(grads))[0], state, params)

    # optax's own transformations that read parameters have this signature, too.
    return optax.GradientTransformation(made.init, update)  # pyright: ignore[reportArgumentType]


def together(spec: Optimizer) -> optax.GradientTransformation | None:
    """Clipping that needs the gradients of all parameters before any step is made, or None."""
    return optax.chain(*working(spec.clip).transformations()) if spec.clip.whole else None


def without(
    optimizer: optax.GradientTransformation, frozen: Collection[str]
) -> optax.GradientTransformation:
    """An optimizer that leaves some parameters unchanged, as if their gradients were zero.

    Args:
        optimizer: an optimizer without weight decay of these parameters.
        frozen: the paths of these parameters.
    """

    def still(tree: Any) -> Any:
        # Adding negative zero changes no bit of any number; adding zero would turn -0 into 0.
        flat = flatten(tree)
        return unflatten(
            {path: -jnp.zeros_like(x) if path in frozen else x for path, x in flat.items()}
        )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # Before the optimizer, so that momentum stays zero, and after it, so that whatever it adds
        # moves nothing.
        steps, new = optimizer.update(still(updates), state, params)
        return still(steps), new

    # The state stays that of the optimizer, so that a fork may freeze what its parent trained.
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

    # optax's own transformations that read parameters have this signature, too.
    return optax.GradientTransformation(decay.init, update)  # pyright: ignore[reportArgumentType]
