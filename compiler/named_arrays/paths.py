"""Nested dictionaries of parameters as flat ones, keyed by paths such as `heads/block0/w`."""

from collections.abc import Mapping
from typing import Any, cast

from flax.traverse_util import flatten_dict, unflatten_dict


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of nested dictionaries by path."""
    return cast(dict[str, Any], flatten_dict(dict(tree), sep="/"))


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries from leaves by path."""
    return cast(dict[str, Any], unflatten_dict(dict(flat), sep="/"))
