"""Moving averages of parameters, kept in the optimizer's state."""

from typing import Any, NamedTuple

import jax
import optax


class Averaged(NamedTuple):
    """The state of the transformation.

    Attributes:
        average: the average of the parameters, in their structure.
    """

    average: Any


def averaging(decay: float) -> optax.GradientTransformation:
    """A transformation that keeps an average of the parameters and leaves steps unchanged.

    It must be the last in a chain, as it adds the step to the parameters. The average starts at the
    initial parameters; then average = decay * average + (1 - decay) * parameters.
    """

    def update(steps: Any, state: Averaged, params: Any) -> tuple[Any, Averaged]:
        new = optax.apply_updates(params, steps)
        return steps, Averaged(optax.incremental_update(new, state.average, 1 - decay))

    # optax's own transformations that read parameters have this signature, too.
    return optax.GradientTransformation(Averaged, update)  # pyright: ignore[reportArgumentType]


def average_in(state: Any) -> Any:
    """The average of the parameters, from the state of an optimizer with `averaging`."""
    (averaged,) = (
        node
        for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Averaged))
        if isinstance(node, Averaged)
    )
    return averaged.average
