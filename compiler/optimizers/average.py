"""The moving average of the parameters that an optimizer makes."""

from typing import Any, NamedTuple

import jax
import optax


class Averaged(NamedTuple):
    """What the optimizer keeps for it.

    Attributes:
        average: like the parameters.
    """

    average: Any


def averaging(decay: float) -> optax.GradientTransformation:
    """Keeps the average of the parameters as steps make them; steps stay as they are.

    It stands behind all that changes a step. The average begins at the initial parameters:
    average = decay * average + (1 - decay) * parameters.
    """

    def update(steps: Any, state: Averaged, params: Any) -> tuple[Any, Averaged]:
        new = optax.apply_updates(params, steps)
        return steps, Averaged(optax.incremental_update(new, state.average, 1 - decay))

    # Of the same signature as every transformation of optax that reads parameters.
    return optax.GradientTransformation(Averaged, update)  # pyright: ignore[reportArgumentType]


def average_in(state: Any) -> Any:
    """The average of the parameters in the state of an optimizer that keeps one."""
    (averaged,) = (
        node
        for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Averaged))
        if isinstance(node, Averaged)
    )
    return averaged.average
