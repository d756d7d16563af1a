"""Parameters of an optimizer by their paths, such as `heads/block0/w`."""

from collections.abc import Callable
from typing import Any

from compiler.named_arrays.paths import flatten, unflatten


def named(tree: Any, function: Callable[[str], Any]) -> Any:
    """A tree in the structure of `tree`, with `function(path)` as the leaf at each path."""
    return unflatten({path: function(path) for path in flatten(tree)})


def weights_of(specs: Any) -> frozenset[str]:
    """The paths of the parameters that are weights, rather than biases, scales or shifts.

    Args:
        specs: a `ParamSpec` for each parameter, in nested dictionaries.
    """
    return frozenset(path for path, spec in flatten(specs).items() if spec.role == "weight")


def scaled(tree: Any, scale: Callable[[str], float]) -> Any:
    """Each leaf multiplied by `scale(path)`; unchanged where that is 1."""
    flat = flatten(tree)
    return unflatten(
        {path: leaf if scale(path) == 1.0 else leaf * scale(path) for path, leaf in flat.items()}
    )
