"""Layers of a spec: plain values and where each comes from, laid over each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgspec.loading.field_errors import known_keys
from fgspec.loading.shorthand import spelled_out
from fgspec.problems.problems import MISSING, Origin, dotted, flow, lookup
from fgspec.yaml.load import Path


@dataclass(frozen=True)
class Change:
    """One field that is set over a file, as by `--set`, and where that is said.

    Attributes:
        keys: of the field, from the root.
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
        if isinstance(old, dict) and isinstance(value, dict):
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


def _forget(origins: dict[Path, Origin], path: Path) -> None:
    for below in [p for p in origins if p[: len(path)] == path]:
        del origins[below]


def changed(layer: Layer, change: Change) -> Layer:
    """`layer` with one field set anew."""
    keys, tree = change.keys, change.value
    origins = {(*keys, *path): change.origin for path in [(), *_paths(tree)]}
    for end in range(len(keys) - 1, 0, -1):
        if not isinstance(lookup(layer.tree, keys[:end]), dict):
            origins[keys[:end]] = change.origin
    for key in reversed(keys):
        tree = {key: tree}
    return merge(layer, Layer(*spelled_out(tree, origins)))


def _paths(tree: Any) -> list[Path]:
    if not isinstance(tree, dict | list):
        return []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path for key, value in pairs for path in [(key,), *((key, *p) for p in _paths(value))]]
