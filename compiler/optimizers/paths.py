"""What an optimizer asks of a parameter by its path, such as `heads/block0/w`."""

from collections.abc import Callable
from typing import Any

from compiler.named_arrays.paths import flatten, unflatten


def named(tree: Any, function: Callable[[str], Any]) -> Any:
    """A tree like `tree` with `function` of each leaf's path."""
    return unflatten({path: function(path) for path in flatten(tree)})


def is_weight(path: str) -> bool:
    """Whether a parameter is a weight, which decays, rather than a bias, a scale or a shift."""
    return path.endswith("/w")


def scaled(tree: Any, scale: Callable[[str], float]) -> Any:
    """Each leaf multiplied by `scale` of its path; untouched where that is 1."""
    flat = flatten(tree)
    return unflatten({p: x if scale(p) == 1.0 else x * scale(p) for p, x in flat.items()})
