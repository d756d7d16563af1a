"""A spec file and its overrides -> a resolved `Experiment` that knows where each value comes from.

Order of precedence, weakest first: the language's defaults, the rule, the specs named by
`extends` from the furthest to the nearest, the file itself, `--set`.
"""

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, get_args

from fgspec.diagnostics import MISSING, Origin, Problem, SpecError, lookup, nearest, render
from fgspec.spec.complete import complete
from fgspec.spec.consistency import check
from fgspec.spec.experiment import Experiment
from fgspec.spec.presets import RULES, RuleName
from fgspec.validate import known_keys, valid_sections, validate
from fgspec.yaml12 import Path, YamlError, parse, read, scalar


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
            raise render(problems, self.values(), self.origins, self.file)


@dataclass(frozen=True)
class _Layer:
    """Plain values and where each comes from; one file, or several merged."""

    tree: dict[str, Any]
    origins: dict[Path, Origin]


def load(path: str | FilePath, overrides: Sequence[str] = ()) -> Loaded:
    """Read, merge, validate and complete a spec.

    Args:
        path: a YAML file.
        overrides: `path=value` strings as given to `--set`; values are YAML.

    Raises:
        SpecError: with one line for everything that is wrong.
    """
    file = FilePath(path)
    try:
        layer = _chain(file, _root(file), ())
        layer = _override(layer, overrides)
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    text = file.read_text(encoding="utf-8-sig")
    return _resolve(layer, str(path), text, tuple(overrides))


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
    return _Layer(document.value, origins)


def _root(file: FilePath) -> FilePath:
    """The folder that `extends` may not leave: the nearest one named specs, or the file's own."""
    folder = file.resolve().parent
    return next((p for p in (folder, *folder.parents) if p.name == "specs"), folder)


def _chain(file: FilePath, root: FilePath, seen: tuple[FilePath, ...]) -> _Layer:
    layer = _layer(read(file))
    target = layer.tree.pop("extends", MISSING)
    if target is MISSING:
        return layer
    seen = (*seen, file.resolve())
    problem = _extends_problem(target, file, root, seen)
    if problem:
        tree = layer.tree | {"extends": target}
        raise render([Problem(("extends",), problem)], tree, layer.origins, str(file))
    base = FilePath(os.path.normpath(file.parent / target))
    return _merge(_chain(base, root, seen), layer)


def _extends_problem(
    target: Any, file: FilePath, root: FilePath, seen: tuple[FilePath, ...]
) -> str:
    if not isinstance(target, str):
        return "must be the path of a spec, relative to this one"
    if FilePath(target).is_absolute():
        return "must be relative to this file"
    base = (file.parent / target).resolve()
    if not base.is_relative_to(root):
        return f"leaves {root.name}/, the folder of these specs; move the base inside"
    if base in seen:
        return f"extends itself: {' -> '.join(p.name for p in (*seen, base))}"
    if not base.is_file():
        return "no such file"
    return ""


def _merge(base: _Layer, top: _Layer) -> _Layer:
    """`top` over `base`: mappings key by key, anything else replaced.

    Where `type` changes, only the base's fields that the new type has too are kept.
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
    """The fields of `old` that mean something beside `value`: all, unless the type changes."""
    if value.get("type", MISSING) in (old.get("type", MISSING), MISSING):
        return dict(old)
    known = known_keys(path, value["type"])
    return {name: field for name, field in old.items() if name in known and name != "type"}


def _forget(origins: dict[Path, Origin], path: Path) -> None:
    for below in [p for p in origins if p[: len(path)] == path]:
        del origins[below]


def _override(layer: _Layer, overrides: Sequence[str]) -> _Layer:
    for text in overrides:
        name, equals, value = text.partition("=")
        keys = tuple(name.strip().split("."))
        if not equals or not all(keys):
            line = f"--set: {text}: must be path=value, such as optimizer.learning_rate=0.1"
            raise SpecError([line])
        if keys[0] == "extends":
            raise SpecError(["--set: extends: belongs in a file; it cannot be set"])
        tree: Any = scalar(value)
        origins = {(*keys, *path): Origin("--set") for path in [(), *_paths(tree)]}
        for end in range(len(keys) - 1, 0, -1):
            if keys[:end] not in layer.origins:
                origins[keys[:end]] = Origin("--set")
        for key in reversed(keys):
            tree = {key: tree}
        layer = _merge(layer, _Layer(tree, origins))
    return layer


def _paths(tree: Any) -> list[Path]:
    """The path of everything below `tree`."""
    if not isinstance(tree, dict | list):
        return []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path for key, value in pairs for path in [(key,), *((key, *p) for p in _paths(value))]]


def _resolve(layer: _Layer, file: str, text: str, overrides: tuple[str, ...]) -> Loaded:
    tree, origins, problems = _expand_rule(layer)
    experiment, found = validate(tree)
    problems += found
    sections = valid_sections(tree, problems)

    def given(path: Path) -> bool:
        return path in origins

    problems += check(sections, given)
    if problems or experiment is None:
        raise render(problems, tree, origins, file)
    return Loaded(complete(experiment), origins, tree, file, text, overrides)


def _expand_rule(layer: _Layer) -> tuple[dict[str, Any], dict[Path, Origin], list[Problem]]:
    """Put the rule's fields under what was given; disagreement is a problem."""
    tree, origins = dict(layer.tree), dict(layer.origins)
    rule = tree.pop("rule", None)
    if rule is None:
        return tree, origins, []
    if rule not in RULES:
        known = get_args(RuleName)
        tree["rule"] = rule
        message = f"no such rule; {nearest(str(rule), known)}"
        return tree, origins, [Problem(("rule",), message)]
    source = Origin("rule", origins[("rule",)].key, None, rule)
    problems = _apply_rule(tree, origins, RULES[rule], source, ())
    return tree, origins, problems


def _apply_rule(
    tree: dict[str, Any],
    origins: dict[Path, Origin],
    fields: Mapping[str, Any],
    source: Origin,
    at: Path,
) -> list[Problem]:
    problems: list[Problem] = []
    for key, value in fields.items():
        path = (*at, key)
        old = tree.get(key, MISSING)
        if isinstance(value, Mapping) and (old is MISSING or isinstance(old, dict)):
            origins.setdefault(path, source)
            tree[key] = {} if old is MISSING else dict(old)
            problems += _apply_rule(tree[key], origins, value, source, path)
        elif old is MISSING:
            tree[key] = value
            origins[path] = source
        elif old != value or type(old) is not type(value):
            says = "never reads it" if value is None else f"sets it to {_brief(value)}"
            place = f" at {source.key}" if source.key else ""
            message = f"rule {source.rule}{place} {says}; remove one of the two"
            problems.append(Problem(path, message, not isinstance(old, dict)))
    return problems


def _brief(value: Any) -> str:
    return "a mapping" if isinstance(value, Mapping) else str(value).lower()


def set_by(loaded: Loaded, path: Path) -> Origin:
    """Where the value at `path` of a resolved spec comes from."""
    return loaded.origins.get(path, Origin("default"))


def value_at(loaded: Loaded, path: Path) -> Any:
    """The resolved value at `path`, or MISSING."""
    return lookup(loaded.values(), path)
