"""A spec file and its overrides -> a resolved `Experiment` that knows where each value comes from.

Order of precedence, weakest first: the language's defaults, the rule, the specs named by
`extends` from the furthest to the nearest, the file itself, `--set`.
"""

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from fgspec.diagnostics import (
    MISSING,
    Origin,
    Problem,
    SpecError,
    dotted,
    flow,
    lookup,
    render,
    shown,
)
from fgspec.spec.base import Section
from fgspec.spec.complete import complete
from fgspec.spec.consistency import check
from fgspec.spec.experiment import Experiment
from fgspec.spec.presets import expand_rule
from fgspec.spec.shorthand import spelled_out
from fgspec.validate import known_keys, valid_sections, validate
from fgspec.yaml12 import MAX_DEPTH, Path, YamlError, parse, read, scalar


@dataclass(frozen=True)
class Loaded:
    """A resolved spec.

    Attributes:
        experiment: validated, every default filled in.
        origins: where each value that is no default comes from, by path.
        tree: the plain values after `extends`, `--set` and the rule, before defaults.
        file: the file as named by the user.
        text: that file's text.
        overrides: the `--set` arguments, in order.
    """

    experiment: Experiment
    origins: Mapping[Path, Origin]
    tree: Mapping[str, Any]
    file: str
    text: str
    overrides: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Every value of the resolved spec as plain mappings, lists and scalars."""
        return self.experiment.model_dump(mode="json")

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise what is wrong with this spec, if anything is.

        Raises:
            SpecError: if there are problems.
        """
        if problems:
            raise render(problems, self.tree, self.origins, self.file, self.values())


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
class _Layer:
    """Plain values and where each comes from; one file, or several merged."""

    tree: dict[str, Any]
    origins: dict[Path, Origin]


def load(
    path: str | FilePath, overrides: Sequence[str] = (), changes: Sequence[Change] = ()
) -> Loaded:
    """Read, merge, validate and complete a spec.

    Args:
        path: a YAML file.
        overrides: `path=value` strings as given to `--set`; values are YAML.
        changes: fields that another file sets, under the overrides.

    Raises:
        SpecError: with one line for everything that is wrong.
    """
    file = FilePath(path)
    try:
        layer = _chain(file, None, ())
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    for change in [*changes, *map(_setting, overrides)]:
        layer = _changed(layer, change)
    text = file.read_text(encoding="utf-8-sig")
    return _resolve(layer, str(path), text, (*map(str, changes), *overrides))


def loads(text: str, file: str = "<text>") -> Loaded:
    """Resolve a spec held in a string; it cannot extend another.

    Raises:
        SpecError: with one line for everything that is wrong.
    """
    try:
        layer = _layer(parse(text, file))
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    if "extends" in layer.tree:
        raise render([Problem(("extends",), "needs a file to be relative to")], *_at(layer), file)
    return _resolve(layer, file, text, ())


def _at(layer: _Layer) -> tuple[dict[str, Any], dict[Path, Origin]]:
    return layer.tree, layer.origins


def _layer(document: Any) -> _Layer:
    origins = {
        path: Origin("file", document.keys.get(path, mark), mark)
        for path, mark in document.values.items()
    }
    return _Layer(*spelled_out(document.value, origins))


def _root(file: FilePath) -> FilePath:
    """The folder that `extends` may not leave: the nearest one named specs, or the file's own."""
    folder = file.resolve().parent
    return next((p for p in (folder, *folder.parents) if p.name == "specs"), folder)


def _chain(file: FilePath, root: FilePath | None, seen: tuple[FilePath, ...]) -> _Layer:
    layer = _layer(read(file))
    target = layer.tree.pop("extends", MISSING)
    if target is MISSING:
        return layer
    root, seen = root or _root(file), (*seen, file.resolve())
    problem = _extends_problem(target, file, root, seen)
    if problem:
        tree = layer.tree | {"extends": target}
        raise render([Problem(("extends",), problem)], tree, layer.origins, str(file))
    base = FilePath(os.path.normpath(file.parent / target))
    return _merge(_chain(base, root, seen), layer)


def _extends_problem(
    target: Any, file: FilePath, root: FilePath, seen: tuple[FilePath, ...]
) -> str:
    if not isinstance(target, str) or FilePath(target).is_absolute():
        return "must be the path of a spec, relative to this one"
    try:
        base = (file.parent / target).resolve()
        found = base.is_file()
    except (OSError, RuntimeError, ValueError):  # too long a name, a loop of links, a NUL
        return "is no path of a file"
    if not base.is_relative_to(root):
        return f"leaves {root.name}/, the folder of these specs; move the base inside"
    if base in seen:
        return f"goes in a circle: {' -> '.join(p.name for p in (*seen, base))}"
    if not found:
        return "no such file"
    return ""


def _merge(base: _Layer, top: _Layer) -> _Layer:
    """`top` over `base`: mappings key by key, anything else replaced.

    Where `type` changes, only the base's fields that the new type has too are kept; the type `none`
    has none.
    """
    tree, origins = dict(base.tree), dict(base.origins)
    _merge_into(tree, origins, top.tree, top.origins, ())
    return _Layer(tree, origins)


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


def _changed(layer: _Layer, change: Change) -> _Layer:
    keys, tree = change.keys, change.value
    origins = {(*keys, *path): change.origin for path in [(), *_paths(tree)]}
    for end in range(len(keys) - 1, 0, -1):
        if not isinstance(lookup(layer.tree, keys[:end]), dict):
            origins[keys[:end]] = change.origin
    for key in reversed(keys):
        tree = {key: tree}
    return _merge(layer, _Layer(*spelled_out(tree, origins)))


def _setting(text: str) -> Change:
    """What a `--set` argument says."""
    name, equals, value = text.partition("=")
    keys = tuple(key.strip() for key in name.split("."))
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        message = f"must be path=value, such as optimizer.learning_rate=0.1 (got {shown(text)})"
        raise SpecError([f"--set: {message}"])
    if keys[0] == "extends":
        raise SpecError(["--set: extends: belongs in a file; it cannot be set"])
    try:
        return Change(keys, scalar(value), Origin("--set"))
    except YamlError as error:
        raise SpecError([f"--set: {dotted(keys)}: {error.problem}"]) from None


def _paths(tree: Any) -> list[Path]:
    """The path of everything below `tree`."""
    if not isinstance(tree, dict | list):
        return []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path for key, value in pairs for path in [(key,), *((key, *p) for p in _paths(value))]]


def _resolve(layer: _Layer, file: str, text: str, overrides: tuple[str, ...]) -> Loaded:
    tree, origins, conflicts = expand_rule(layer.tree, layer.origins)
    experiment, problems = validate(tree)
    wrong = {problem.path for problem in problems}
    problems += [conflict for conflict in conflicts if conflict.path not in wrong]
    sections = valid_sections(tree, problems)
    problems += check(sections)
    if problems or experiment is None:
        defaults = {
            name: section.model_dump(mode="json")
            for name, section in sections.items()
            if isinstance(section, Section)
        }
        raise render(problems, layer.tree, origins, file, defaults)
    return Loaded(complete(experiment), origins, tree, file, text, overrides)


def set_by(loaded: Loaded, path: Path) -> Origin:
    """Where the value at `path` of a resolved spec comes from."""
    return loaded.origins.get(path, Origin("default"))
