"""The canonical form of a resolved spec: its text, its identity, and the differences of two."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fgspec.loading.spec_file import Loaded, set_by
from fgspec.problems.problems import MISSING, Origin, dotted, flow, lookup
from fgspec.yaml.load import Path


def identity(
    values: Mapping[str, Any],
    packages: Mapping[str, str] | None = None,
    code: Mapping[str, str] | None = None,
) -> str:
    """SHA-256, in hexadecimal, of a resolved spec: equal exactly if every value is equal.

    Name and description count: two runs with the same hash were asked for the same thing. How it
    was written (rule, extends, order, comments) does not, nor do trackers.

    Args:
        values: of the spec.
        packages: that its methods come from, with their versions, besides fgspec.
        code: digests of what other code than fgspec's computes, by the field that names it.
    """
    return whole_identity(_untracked(values), packages, code)


def _untracked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values as they are without trackers, which decide nothing."""
    training = values.get("training")
    if not isinstance(training, Mapping) or not training.get("trackers"):
        return values
    return {**values, "training": {**training, "trackers": []}}


def whole_identity(
    values: Mapping[str, Any],
    packages: Mapping[str, str] | None = None,
    code: Mapping[str, str] | None = None,
) -> str:
    """As `identity`, with trackers: what runs recorded for a while."""
    # A package's new version may compute something else under the same name.
    values = {**values, "packages": dict(packages)} if packages else values
    values = {**values, "code": dict(code)} if code else values
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def spec_hash(loaded: Loaded, **instead: Any) -> str:
    """The identity of a loaded spec.

    Args:
        loaded: the spec.
        instead: values of fields at its root, such as another seed.
    """
    return identity(loaded.values() | instead, loaded.packages(), loaded.code())


def resolved_text(loaded: Loaded) -> str:
    """The resolved spec as YAML, every line with a comment that says where its value comes from.

    Reading it back gives an equal spec, whatever files it was made from.
    """
    rows = list(_rows(loaded.values(), (), 0, loaded))
    width = max(len(line) for line, _ in rows)
    return "".join(f"{line:<{width}}  # {note}\n" if note else f"{line}\n" for line, note in rows)


def _rows(
    tree: Mapping[str, Any], at: Path, depth: int, loaded: Loaded
) -> Iterator[tuple[str, str]]:
    for key, value in sorted(tree.items(), key=lambda item: item[0] != "type"):
        path = (*at, key)
        if isinstance(value, Mapping) and value:
            yield f"{'  ' * depth}{key}:", ""
            yield from _rows(value, path, depth + 1, loaded)
        else:
            yield f"{'  ' * depth}{key}: {flow(value)}", str(set_by(loaded, path))


@dataclass(frozen=True)
class Difference:
    """One field in which two resolved specs differ; MISSING where one has no such field."""

    path: Path
    a: Any
    b: Any
    a_origin: Origin
    b_origin: Origin

    @property
    def kind(self) -> str:
        """Whether the field is `changed`, `added` or `removed`."""
        return "added" if self.a is MISSING else "removed" if self.b is MISSING else "changed"

    def json(self) -> dict[str, Any]:
        """Plain values for `fgspec diff --json`."""
        sides = {}
        for side, value, origin in (("a", self.a, self.a_origin), ("b", self.b, self.b_origin)):
            absent = value is MISSING
            sides[side] = {"value": None if absent else value, "present": not absent}
            sides[side]["origin"] = None if absent else str(origin)
        return {"field": dotted(self.path), "kind": self.kind} | sides


def differences(a: Loaded, b: Loaded) -> list[Difference]:
    """The fields in which two resolved specs differ, in the order of the language.

    Where only one of them has a mapping, the whole mapping is one difference.
    """
    return [
        Difference(path, left, right, set_by(a, path), set_by(b, path))
        for path, left, right in _compare(a.values(), b.values(), ())
    ]


def _compare(a: Any, b: Any, at: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _compare(a.get(key, MISSING), b.get(key, MISSING), (*at, key))
    elif MISSING in (a, b) or json.dumps(a) != json.dumps(b):  # as text, for True == 1 == 1.0
        yield at, a, b


def spelled_out_once(a: Loaded, b: Loaded) -> list[Path]:
    """The fields that are equal although only one spec states them, the other by default."""
    theirs = b.values()
    return [
        path
        for path, value in leaves(a.values())
        if json.dumps(value) == json.dumps(lookup(theirs, path), default=repr)
        and (set_by(a, path).kind == "default") != (set_by(b, path).kind == "default")
    ]


def leaves(tree: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in a tree of mappings, with its path; lists are values."""
    if not isinstance(tree, Mapping):
        yield at, tree
        return
    for key, value in tree.items():
        yield from leaves(value, (*at, key))
