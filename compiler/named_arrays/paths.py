"""Nested dictionaries of parameters as flat ones, keyed by paths such as `heads/block0/w`."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries -> leaves by path; empty dictionaries vanish."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= {f"{name}/{path}": leaf for path, leaf in flatten(value).items()}
        else:
            leaves[name] = value
    return leaves


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by path -> nested dictionaries."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *sections, name = path.split("/")
        section = tree
        for key in sections:
            section = section.setdefault(key, {})
        section[name] = leaf
    return tree
