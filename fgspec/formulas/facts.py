"""What formulas need to know of a plan."""

from typing import Any, NamedTuple


class Route(NamedTuple):
    """A way in which arrays are credited with the copies of a loss.

    Attributes:
        copies: the axes of the copies.
        summed: those of them that are summed over.
        places: the (loss, array) pairs that it is for.
        arrays: what these arrays are called, without their blocks.
    """

    copies: tuple[str, ...]
    summed: tuple[str, ...]
    places: frozenset[tuple[Any, ...]]
    arrays: tuple[str, ...]


class Facts(NamedTuple):
    """A plan, as formulas see it.

    Attributes:
        target: the gradient that is estimated.
        perturbation: what is perturbed, or None.
        rows: N of a batch.
        routes: how perturbed arrays are credited, if all of a chain moves at once.
        past_norm: whether estimates are pulled back past normalizations.
        exact: the arrays of blocks that take their exact gradient beside others that do not.
        others: all other arrays.
        losses: the losses, as what reads the output of a block.
    """

    target: Any
    perturbation: Any
    rows: int
    routes: tuple[Route, ...] = ()
    past_norm: bool = False
    exact: frozenset[tuple[Any, ...]] = frozenset()
    others: frozenset[tuple[Any, ...]] = frozenset()
    losses: frozenset[tuple[Any, ...]] = frozenset()
