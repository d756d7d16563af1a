"""Nested dictionaries of parameters as flat ones, keyed by paths such as `heads/block0/w`."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of nested dictionaries by path; an empty dictionary has none."""
    found: dict[str, Any] = {}
    for name, part in tree.items():
        if isinstance(part, Mapping):
            found |= {f"{name}/{path}": leaf for path, leaf in flatten(part).items()}
        else:
            found[name] = part
    return found


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries from leaves by path."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *above, name = path.split("/")
        place = tree
        for step in above:
            place = place.setdefault(step, {})
        place[name] = leaf
    return tree
