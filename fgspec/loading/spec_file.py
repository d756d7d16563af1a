"""A spec file and its overrides -> a resolved `Experiment` that knows where each value comes from.

Order of precedence, weakest first: the language's defaults, the rule, the specs named by
`extends` from the furthest to the nearest, the file itself, `--set`.
"""

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path as FilePath
from typing import Any, cast

from pydantic import ValidationError

from fgspec.check.consistency import check
from fgspec.loading.defaults import complete
from fgspec.loading.field_errors import valid_sections, validate, validate_section
from fgspec.loading.merge import Change, Layer, changed, keys_of, merge, without
from fgspec.loading.retired import without_retired
from fgspec.loading.rules import expand_rule
from fgspec.loading.shorthand import spelled_out, with_default_types
from fgspec.problems.problems import (
    MISSING,
    Origin,
    Problem,
    SpecError,
    dotted,
    lookup,
    nearest,
    render,
    shown,
)
from fgspec.spec import plugins
from fgspec.spec.ablation import Ablation
from fgspec.spec.architectures import Architecture
from fgspec.spec.base import Section
from fgspec.spec.experiment import Experiment
from fgspec.spec.kinds import methods_in, working
from fgspec.spec.run import Training
from fgspec.spec.sources import Search
from fgspec.spec.trackers import TRACKERS, Tracker
from fgspec.yaml.load import MAX_DEPTH, Document, Path, YamlError, parse, read, scalar


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
        ablation: what the file promises to change of another spec.
        search: folders in which relative paths of data are looked for; None: as `Source.read` says.
    """

    experiment: Experiment
    origins: Mapping[Path, Origin]
    tree: Mapping[str, Any]
    file: str
    text: str
    overrides: tuple[str, ...] = ()
    ablation: Ablation | None = None
    search: Search = None

    def values(self) -> dict[str, Any]:
        """Every value of the resolved spec as plain mappings, lists and scalars."""
        return self.experiment.model_dump(mode="json")

    @property
    def rule(self) -> str:
        """The published rule that it names; empty if it names none, as a resolved spec does."""
        return next((one.rule for one in self.origins.values() if one.kind == "rule"), "")

    def packages(self, *, decide: bool = True) -> dict[str, str]:
        """The packages that its methods come from besides fgspec, and their versions.

        Args:
            decide: of the methods that decide numbers; if not, of the others.
        """
        found = (
            plugins.owner(group, name)
            for _, method in methods_in(self.experiment)
            if method.decides == decide
            for group, name in method.offered_by()
        )
        return {p.name: p.version for p in found if p is not None and p.name != plugins.OWN}

    def code(self) -> dict[str, str]:
        """Digests of what code from outside of the spec computes, by the field that names it.

        Raises:
            UserError: the code cannot be imported, or does not do what it is for.
        """
        architecture = self.experiment.architecture
        if type(architecture).code is Architecture.code:
            return {}
        data = working(self.experiment.data.source).describe(self.search)
        digest = working(architecture).code(data.image_shape)
        return {} if digest is None else {"architecture.module": digest}

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Raise what is wrong with this spec, if anything is.

        Raises:
            SpecError: if there are problems.
        """
        if problems:
            raise render(problems, self.tree, self.origins, self.file, self.values())


_OTHERS = ("extends", "ablation")
"""The keys that name other files."""


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
        document = read(file)
        layer = _chain(file, document, None, ())
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    if "base" in layer.tree:
        message = f"belongs in a sweep; to train this file as one, use fgspec sweep {file}"
        raise render([Problem(("base",), message, False, at_key=True)], *_at(layer), str(file))
    overrides = _in_order(overrides)
    for change in [*changes, *map(setting, overrides)]:
        layer = changed(layer, change)
    return _resolve(layer, str(path), document.text, (*map(str, changes), *overrides))


def laid_over(loaded: Loaded, forgotten: Sequence[Path], changes: Sequence[Change]) -> Loaded:
    """A resolved spec with some fields as if nothing set them, and others set anew.

    Args:
        loaded: the spec.
        forgotten: fields that return to their defaults, or to what a rule among the changes says.
        changes: fields that are set, over all else.

    Raises:
        SpecError: with one line for everything that is wrong.
    """
    origins = dict(loaded.origins)
    if any(change.keys == ("rule",) for change in changes):  # there is one rule, the new one
        origins = {path: origin for path, origin in origins.items() if origin.kind != "rule"}
    layer = without(Layer(loaded.values(), origins), forgotten)
    for change in changes:
        layer = changed(layer, change)
    told = (*loaded.overrides, *map(str, changes))
    return _resolve(layer, loaded.file, loaded.text, told)


def loads(text: str, file: str = "<text>", overrides: Sequence[str] = ()) -> Loaded:
    """Resolve a spec held in a string; it cannot extend another.

    Args:
        text: YAML.
        file: what places in it begin with.
        overrides: as for `load`.

    Raises:
        SpecError: with one line for everything that is wrong.
    """
    try:
        layer = _layer(parse(text, file))
    except YamlError as error:
        raise SpecError(str(error).splitlines()) from None
    problems = [
        Problem((key,), "needs a spec that is a file, because its path is relative to it")
        for key in _OTHERS
    ]
    if named := [problem for problem in problems if problem.path[0] in layer.tree]:
        raise render(named, *_at(layer), file)
    overrides = _in_order(overrides)
    for change in map(setting, overrides):
        layer = changed(layer, change)
    return _resolve(layer, file, text, tuple(overrides))


def _at(layer: Layer) -> tuple[dict[str, Any], dict[Path, Origin]]:
    return layer.tree, layer.origins


def _layer(document: Document) -> Layer:
    origins = {
        path: Origin("file", document.keys.get(path, mark), mark)
        for path, mark in document.values.items()
    }
    return Layer(*spelled_out(document.value, origins))


def is_pipe(file: FilePath) -> bool:
    """Whether a file is one that can be read once only, and lies beside no other."""
    return file.exists() and not file.is_file() and not file.is_dir()


def beside(file: FilePath, target: str) -> FilePath:
    """What a path in a file means: relative to the file's folder, to the current one in a pipe."""
    folder = FilePath() if is_pipe(file) else file.parent
    return FilePath(os.path.normpath(folder / target))


def _root(file: FilePath) -> FilePath:
    """The folder that `extends` may not leave: the nearest one named specs, or the file's own."""
    folder = FilePath().resolve() if is_pipe(file) else file.resolve().parent
    return next((p for p in (folder, *folder.parents) if p.name == "specs"), folder)


def _chain(
    file: FilePath, document: Document, root: FilePath | None, seen: tuple[FilePath, ...]
) -> Layer:
    layer = _layer(document)
    target = layer.tree.pop("extends", MISSING)
    if target is MISSING:
        return layer
    root, seen = root or _root(file), (*seen, file.resolve())
    problem = path_problem(target, file, root, seen)
    if problem:
        tree = layer.tree | {"extends": target}
        raise render([Problem(("extends",), problem)], tree, layer.origins, str(file))
    base = beside(file, target)
    below = _chain(base, read(base), root, seen)
    below.tree.pop("ablation", None)  # which binds the file that states it
    return merge(below, layer)


def base_of(loaded: Loaded, overrides: Sequence[str]) -> Loaded:
    """The spec that `loaded` promises to change in nothing but what it lists.

    Raises:
        SpecError: it is not found beside it, or wrong.
    """
    assert loaded.ablation is not None
    file, target = FilePath(loaded.file), loaded.ablation.base
    problem = path_problem(target, file)
    loaded.refuse([Problem(("ablation", "base"), problem)] if problem else [])
    # What a sweep sets and one of its arms sets anew stands twice among them.
    return load(beside(file, target), (), [setting(text) for text in overrides])


def path_problem(
    target: Any,
    file: FilePath,
    root: FilePath | None = None,
    seen: tuple[FilePath, ...] = (),
) -> str:
    """Why a file cannot be made from another that it names; empty if it can.

    Args:
        target: what the file says.
        file: that says it.
        root: the folder that may not be left; that of `file` if None.
        seen: the files that were read on the way to `target`; `file` alone if empty.
    """
    root, seen = root or _root(file), seen or (file.resolve(),)
    if not isinstance(target, str) or FilePath(target).is_absolute():
        return "must be the path of a spec, relative to this one"
    try:
        base = beside(file, target).resolve()
        found = base.is_file()
    except (OSError, RuntimeError, ValueError):  # too long a name, a loop of links, a NUL
        return "is not the path of a file"
    if not base.is_relative_to(root):
        return f"is outside of {root.name}/, the folder of these specs; move the base inside"
    if base in seen:
        return f"is circular: {' -> '.join(p.name for p in (*seen, base))}"
    if not found:
        return "no such file"
    return ""


def _in_order(overrides: Sequence[str]) -> list[str]:
    """The `--set` arguments, fields before what is below them; as given, their order says nothing.

    Raises:
        SpecError: one is no setting, or two say something else of the same field.
    """
    found = [setting(text) for text in overrides]
    lines = [
        f"--set: {dotted(lower.keys)}: is set twice, to {shown(said)} and to {shown(lower.value)}; "
        "remove one of the two"
        for upper, lower in permutations(found, 2)
        if (said := _said(upper, lower.keys)) not in (MISSING, lower.value)
    ]
    if lines:
        raise SpecError(list(dict.fromkeys(lines))[:1])
    return sorted(overrides, key=lambda text: len(setting(text).keys))


def _said(upper: Change, keys: tuple[str, ...]) -> Any:
    """The value that a setting gives the field at `keys`, itself or one below; else MISSING."""
    at = len(upper.keys)
    if keys[:at] != upper.keys:
        return MISSING
    value: Any = upper.value
    for key in keys[at:]:
        if isinstance(value, str):  # the name of a method
            value = {"type": value}
        if not isinstance(value, Mapping | list):
            return value
        value = lookup(value, (int(key) if isinstance(value, list) and key.isdecimal() else key,))
        if value is MISSING:
            return MISSING
    return value


def setting(text: str) -> Change:
    """What a `--set` argument says.

    Raises:
        SpecError: it is no path and value.
    """
    name, equals, value = text.partition("=")
    keys = keys_of(name)
    if not equals or not all(keys) or len(keys) > MAX_DEPTH:
        message = f"must be path=value, such as optimizer.learning_rate=0.1 (got {shown(text)})"
        raise SpecError([f"--set: {message}"])
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise SpecError([f"--set: {dotted(keys)}: is not UTF-8 text; write the path in UTF-8"])
    if keys[0] in _OTHERS:
        raise SpecError(
            [f"--set: {keys[0]}: cannot be set on the command line; write it in the spec"]
        )
    try:
        return Change(keys, scalar(value), Origin("--set"))
    except YamlError as error:
        raise SpecError([f"--set: {dotted(keys)}: {error.problem}"]) from None


def _resolve(layer: Layer, file: str, text: str, overrides: tuple[str, ...]) -> Loaded:
    whole, origins, conflicts = expand_rule(layer.tree, layer.origins)
    whole, retired = without_retired(whole)
    tree = {key: value for key, value in whole.items() if key != "ablation"}
    tree = with_default_types(tree)
    experiment, problems = validate(tree)
    problems += retired
    ablation, broken = validate_section("ablation", Ablation, whole)
    problems += broken
    wrong = {problem.path for problem in problems}
    problems += [conflict for conflict in conflicts if conflict.path not in wrong]
    sections = valid_sections(tree, problems)
    problems += check(sections | {"rule": layer.tree.get("rule")})
    if problems or experiment is None:
        defaults: dict[str, Any] = {}
        for name, section in sections.items():
            if isinstance(section, Section):
                defaults[name] = section.model_dump(mode="json")
            elif isinstance(section, tuple):
                parts = [part for part in section if isinstance(part, Section)]
                defaults[name] = [part.model_dump(mode="json") for part in parts]
        raise render(problems, layer.tree, origins, file, defaults)
    return Loaded(complete(experiment), origins, whole, file, text, overrides, ablation)


def tracked(loaded: Loaded, names: Sequence[str]) -> Loaded:
    """The spec with more trackers, as `--track` names them; those that it has stay as they are.

    Raises:
        SpecError: there is no such tracker, or it cannot do without settings.
    """
    training = loaded.experiment.training
    more = [_tracker(name) for name in dict.fromkeys(names) if name not in _named(training)]
    if not more:
        return loaded
    training = training.model_copy(update={"trackers": (*training.trackers, *more)})
    return replace(
        loaded,
        experiment=loaded.experiment.model_copy(update={"training": training}),
        origins={**loaded.origins, ("training", "trackers"): Origin("--track")},
    )


def _named(training: Training) -> list[str]:
    return list(map(str, training.trackers))


def _tracker(name: str) -> Tracker:
    """A tracker with its default settings."""
    if name not in TRACKERS.names():
        raise SpecError([f"--track: {nearest(name, TRACKERS.names())} (got {shown(name)})"])
    try:
        return cast(Tracker, TRACKERS.kind(name)())
    except ValidationError:
        raise SpecError(
            [
                (
                    f"--track: {name} needs settings; list it with its settings in "
                    "training.trackers of the spec"
                )
            ]
        ) from None


def set_by(loaded: Loaded, path: Path) -> Origin:
    """Where the value at `path` of a resolved spec comes from."""
    return loaded.origins.get(path, Origin("default"))
