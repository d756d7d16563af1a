"""Layers of a spec: plain values and where each comes from, laid over each other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgspec.loading.field_errors import known_keys
from fgspec.loading.shorthand import spelled_out
from fgspec.problems.problems import MISSING, Origin, SpecError, are_items, dotted, flow, lookup
from fgspec.yaml.load import Path


def keys_of(path: str) -> tuple[str, ...]:
    """The keys of a field's path as users write it: `blocks.0.channels` or `blocks[0].channels`."""
    return tuple(key.strip() for key in re.sub(r"\[(\d+)\]", r".\1", path).split("."))


@dataclass(frozen=True)
class Change:
    """One field that is set over a file, as by `--set`, and where that is said.

    Attributes:
        keys: of the field, from the root; the number of an item where the spec has a list.
        value: plain.
        origin: of the value and of all below it.
    """

    keys: tuple[str, ...]
    value: Any
    origin: Origin

    def __str__(self) -> str:
        """As `--set` takes it."""
        return f"{dotted(self.keys)}={flow(self.value)}"


@dataclass(frozen=True)
class Layer:
    """Plain values and where each comes from; one file, or several merged."""

    tree: dict[str, Any]
    origins: dict[Path, Origin]


def merge(base: Layer, top: Layer) -> Layer:
    """`top` over `base`: mappings key by key, anything else replaced.

    Where `type` changes, only the base's fields that the new type has too are kept; the type `none`
    has none.
    """
    tree, origins = dict(base.tree), dict(base.origins)
    _merge_into(tree, origins, top.tree, top.origins, ())
    return Layer(tree, origins)


def _merge_into(
    tree: dict[str, Any],
    origins: dict[Path, Origin],
    top: Mapping[str, Any],
    top_origins: Mapping[Path, Origin],
    at: Path,
) -> None:
    for key, value in top.items():
        path = (*at, key)
        old = tree.get(key)
        if isinstance(old, list) and are_items(value):
            items: dict[Any, Any] = dict(enumerate(old))
            _merge_into(items, origins, value, top_origins, path)
            tree[key] = list(items.values())
        elif isinstance(old, dict) and isinstance(value, dict):
            tree[key] = _shared_with(value, old, path)
            for name in old.keys() - tree[key].keys():
                _forget(origins, (*path, name))
            origins.update({path: top_origins[path]} if path in top_origins else {})
            _merge_into(tree[key], origins, value, top_origins, path)
        else:
            _forget(origins, path)
            tree[key] = value
            origins.update({p: o for p, o in top_origins.items() if p[: len(path)] == path})


def _shared_with(value: dict[str, Any], old: dict[str, Any], path: Path) -> dict[str, Any]:
    """The fields of `old` that mean something beside `value`: all, unless the type changes.

    Epochs given anew replace steps, and steps epochs.
    """
    kind = value.get("type", MISSING)
    if kind in (old.get("type", MISSING), MISSING):
        given = {"epochs": "steps", "steps": "epochs"}
        replaced = {other for name, other in given.items() if value.get(name) is not None}
        return {name: field for name, field in old.items() if name not in replaced - value.keys()}
    known = [] if kind == "none" else known_keys(path, kind)
    return {name: field for name, field in old.items() if name in known and name != "type"}


def without(layer: Layer, paths: Sequence[Path]) -> Layer:
    """`layer` without the fields at some paths, which return to what is below it."""
    tree, origins = dict(layer.tree), dict(layer.origins)
    for path in paths:
        tree = _without(tree, path)
        _forget(origins, path)
    return Layer(tree, origins)


def _without(tree: Any, path: Path) -> Any:
    first, *rest = path
    if not isinstance(tree, Mapping) or first not in tree:
        return tree
    if not rest:
        return {key: value for key, value in tree.items() if key != first}
    return {**tree, first: _without(tree[first], tuple(rest))}


def _forget(origins: dict[Path, Origin], path: Path) -> None:
    for below in [p for p in origins if p[: len(path)] == path]:
        del origins[below]


def changed(layer: Layer, change: Change) -> Layer:
    """`layer` with one field, or one item of a list, set anew.

    Raises:
        SpecError: the item is not there.
    """
    keys: Path = _indexed(layer.tree, change)
    tree: Any = change.value
    origins = {(*keys, *path): change.origin for path in [(), *_paths(tree)]}
    for end in range(len(keys) - 1, 0, -1):
        if not isinstance(lookup(layer.tree, keys[:end]), dict | list):
            origins[keys[:end]] = change.origin
    for key in reversed(keys):
        tree = {key: tree}
    return merge(layer, Layer(*spelled_out(tree, origins)))


def _indexed(tree: Any, change: Change) -> Path:
    """The keys of a change, with numbers for the items of lists.

    Raises:
        SpecError: there is no such item.
    """
    path: Path = ()
    for key in change.keys:
        here = lookup(tree, path)
        if isinstance(here, list):
            if not key.isdecimal() or int(key) >= len(here):
                which = f"its items are numbered 0 to {len(here) - 1}"
                if len(here) < 2:
                    which = "its only item is 0" if here else "it has no items"
                raise _refused(change, path, f"is a list; {which} (got {key})")
            path = (*path, int(key))
        elif key.isdecimal() and path and not isinstance(here, dict):
            message = f"is not a list in this spec, so it has no item {key}; set the whole list"
            raise _refused(change, path, message)
        else:
            path = (*path, key)
    return path


def _refused(change: Change, path: Path, message: str) -> SpecError:
    return SpecError([f"{change.origin.place}: {dotted(path)}: {message}"])


def _paths(tree: Any) -> list[Path]:
    if not isinstance(tree, dict | list):
        return []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path for key, value in pairs for path in [(key,), *((key, *p) for p in _paths(value))]]
