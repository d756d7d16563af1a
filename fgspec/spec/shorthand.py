"""Sections that may be written as the name of their type: `augment: byol` is `{type: byol}`."""

from collections.abc import Mapping
from typing import Any

from fgspec.diagnostics import Origin
from fgspec.yaml12 import Path

SHORTHANDS: tuple[Path, ...] = (("data", "augment"),)
"""Where text stands for a mapping with that `type`."""


def spelled_out(
    given: Mapping[str, Any], given_origins: Mapping[Path, Origin]
) -> tuple[dict[str, Any], dict[Path, Origin]]:
    """A tree and its origins with every shorthand written as a mapping."""
    tree, origins = dict(given), dict(given_origins)
    for path in SHORTHANDS:
        tree = _spelled(tree, path)
        if tree != given and path in origins:
            origins.setdefault((*path, "type"), origins[path])
    return tree, origins


def _spelled(tree: Any, path: Path) -> Any:
    if not path:
        return {"type": tree} if isinstance(tree, str) else tree
    if not isinstance(tree, dict) or path[0] not in tree:
        return tree
    return tree | {path[0]: _spelled(tree[path[0]], path[1:])}
