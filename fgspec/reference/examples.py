"""Examples of fields and values: snippets of a spec that `fgspec check` accepts.

A field says only its own example value. What else a spec needs for it, such as an estimator that
perturbs, is found by trying settings until one is accepted. In the same way it is found which rules
read a field: those under which a spec that sets it is accepted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import ValidationError

from fgspec.check.against_data import refusals
from fgspec.check.consistency import CHECKS, check, read_by
from fgspec.loading.defaults import complete
from fgspec.loading.field_errors import validate_record
from fgspec.loading.rules import expand_rule
from fgspec.loading.shorthand import spelled_out, with_default_types
from fgspec.problems.problems import MISSING, Origin, lookup
from fgspec.reference.entries import ANY, ITEM, Entry, Group, Method
from fgspec.spec.base import Section
from fgspec.spec.estimators import ESTIMATORS
from fgspec.spec.experiment import Experiment, SpecFile
from fgspec.spec.rules import RULES, Rule
from fgspec.spec.sweep import SweepFile
from fgspec.yaml.load import Path

Tree = Mapping[str, Any]

BASE: Tree = {"fgspec": 1, "name": "example", "training": {"epochs": 20}}
"""What every spec has; an example is laid over it."""

SWEEP_BASE: Tree = {"fgspec": 1, "name": "example", "base": "base.yaml"}
"""What every sweep has."""

_OTHER_FILES = ("extends", "ablation")
"""Keys that name other files, which an example has not."""

_FORWARD: Tree = {"estimator": {"type": "forward"}}
_SETTINGS: tuple[Tree, ...] = (
    {},
    {"optimizer": {"learning_rate": 0.02}},
    {"optimizer": {"weight_decay": 5e-4}},
    {"optimizer": {"weight_decay": 5e-4, "factors": {"classifier": 0.1}}},
    {"diagnostics": {"every": {"epochs": 1}}},
    {"data": {"source": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}},
    {"architecture": {"type": "chain", "blocks": [[{"type": "depthwise"}, {"type": "full"}]]}},
    {"architecture": {"normalization": {"type": "group_norm"}}},
    {"rule": "lg-fg-a"},
    {"rule": "fg-w"},
    {"rule": "l-bp"},
    {"rule": "l-bp", "losses": {"local": {"aggregation": "pooled"}}},
    {"rule": "fa"},
    {"rule": "lg-bp"},
    {"rule": "fg-a"},
    {"rule": "fg-a", "gradient": {"perturbation": {"guess": {"type": "normal"}, "samples": 4}}},
    {"rule": "lg-fg-a", "data": {"augment": "byol"}, "losses": {"objective": "info_nce"}},
    {"losses": {"local": {"every": 1}}, "gradient": {"target": "sum"}},
    {
        "losses": {"local": {"every": 1}},
        "gradient": {**_FORWARD, "perturbation": {"space": "block_output", "guess": "local"}},
    },
    {
        "losses": {"local": {"every": 1}},
        "gradient": {**_FORWARD, "perturbation": {"space": "block_output"}},
    },
    {"gradient": {**_FORWARD, "perturbation": {"space": "block_output", "guess": "global"}}},
    {
        "gradient": {
            "estimator": {"type": "finite_difference"},
            "perturbation": {"samples": 4, "space": "weight"},
        }
    },
    {"losses": {"isolate": "layer"}, "gradient": {"estimator": {"type": "direct_feedback"}}},
)
"""What a spec may need besides a field that an example is about, from little to much."""

_SWEEP_SETTINGS: tuple[Tree, ...] = (
    {},
    {"random": {"count": 3, "fields": {"optimizer.learning_rate": {"low": 0.01, "high": 0.1}}}},
)
_CHOSEN = "optimizer.learning_rate"
"""The key in examples of what is given by the path of a field."""


def _arms() -> dict[str, Tree]:
    """Every rule, and every estimator that no rule has, with what a spec says to use it."""
    rules = {name: cast(type[Rule], RULES.kind(name)) for name in RULES.names()}
    taken = {lookup(r.settings, ("gradient", "estimator", "type")) for r in rules.values()}
    arms: dict[str, Tree] = {name: {"rule": name} for name in rules}
    for name in ESTIMATORS.names():
        if name not in taken:
            arms[f"estimator: {name}"] = {"gradient": {"estimator": {"type": name}}}
    return arms


def merged(*trees: Any) -> Any:
    """Mappings and lists laid over each other, item by item; later ones win.

    A name is a mapping with that `type`.
    """
    found: Any = MISSING
    for tree in trees:
        if isinstance(found, str) and isinstance(tree, Mapping):
            found = {"type": found}
        if isinstance(found, Mapping) and isinstance(tree, Mapping):
            both = {**found, **tree}
            found = {
                key: merged(found[key], tree[key]) if key in found and key in tree else value
                for key, value in both.items()
            }
        elif isinstance(found, list) and isinstance(tree, list):
            items = zip_longest(found, tree, fillvalue=MISSING)
            found = [merged(old, old if new is MISSING else new) for old, new in items]
        else:
            found = tree
    return found


def placed(path: Path, value: Any, types: Mapping[Path, Method], at: Path = ()) -> Any:
    """A value at a path, in mappings and lists, with the methods on the way."""
    if not path:
        return value
    key, *rest = path
    inner = placed(tuple(rest), value, types, (*at, key))
    if key == ITEM:
        chosen = types.get((*at, key))
        return [*(chosen.kind.listed_after if chosen is not None else ()), inner]
    typed = {"type": types[at].name} if at in types else {}
    return {**typed, (_CHOSEN if key == ANY else key): inner}


def needed(model: type[Section], but: str = "", more: bool = True) -> dict[str, Any]:
    """Values of the fields that a section must have; those of a whole file are in `BASE`."""
    if issubclass(model, SpecFile | SweepFile):
        return {}
    return {
        name: _values(info)[0]
        for name, info in model.model_fields.items()
        if (info.is_required() or (name in model.shown and more)) and name != but
    }


def _values(info: Any) -> list[Any]:
    """Values to show for a field: those it names, else one that is not its default."""
    if info.examples:
        return list(info.examples)
    words = [word for word in literals(info.annotation) if word != info.default]
    return words[:1]


def literals(annotation: Any) -> Iterator[Any]:
    """Every fixed value that an annotation lists."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    for part in get_args(annotation):
        yield from literals(part)


def examples(entry: Entry) -> Iterator[Tree]:
    """Trees that give a field an example value, each to be laid over some settings."""
    values = _values(entry.info)
    if not values:
        names = [name for choice in entry.choices for name in choice.names()]
        values = [name for name in names if name != str(entry.info.default)][:1]
    for value in values:
        yield _set(entry, entry.path, value)


def value_example(entry: Entry, value: Any) -> Tree:
    """A tree that gives a field one of its fixed values."""
    inside: Path = () if value is None else entry.below[len(entry.path) :]
    listed = inside or (_only_in_lists(entry.info.annotation, value) and (ITEM,)) or ()
    return _set(entry, (*entry.path, *listed), value)


def _set(entry: Entry, path: Path, value: Any) -> Tree:
    """A tree with a value and what must stand beside it, or what makes it plainer if that fits."""
    trees = []
    for more in (True, False):
        beside = needed(entry.model, entry.name, more)
        around = [placed(entry.path[:-1], beside, entry.types)] if beside else []
        trees.append(merged(*around, placed(path, value, entry.types)))
    return next((tree for tree in trees if snippet(tree, entry.file) is not None), trees[-1])


def _only_in_lists(annotation: Any, value: Any, listed: bool = False) -> bool:
    """Whether a fixed value stands in a list."""
    if get_origin(annotation) is Literal:
        return listed and value in get_args(annotation)
    listed = listed or get_origin(annotation) is tuple
    return any(_only_in_lists(part, value, listed) for part in get_args(annotation))


def method_example(group: Group) -> Any:
    """A tree that names a method, with the fields that it must have."""
    alone = set(group.model.model_fields) == {"type"}
    value = group.method if alone else {"type": group.method, **needed(group.model)}
    return placed(group.path, value, group.types)


def snippet(tree: Tree, file: type[Section] = SpecFile) -> Tree | None:
    """An example with the settings that it needs; None if nothing that was tried is enough."""
    for settings in _SETTINGS if file is SpecFile else _SWEEP_SETTINGS:
        both = merged(settings, tree)
        if _accepted(whole(both, file), file):
            return both
    return None


def whole(snippet: Tree, file: type[Section] = SpecFile) -> Tree:
    """The file that a snippet is a part of."""
    base = BASE if file is SpecFile else SWEEP_BASE
    if "steps" in snippet.get("training", ()):
        base = {key: value for key, value in base.items() if key != "training"}
    return merged(base, snippet)


def _accepted(tree: Tree, file: type[Section]) -> bool:
    """Whether a file is right, as far as can be told without its data and other files."""
    return _right(json.dumps(tree), file)


@cache
def _right(text: str, file: type[Section]) -> bool:
    tree = json.loads(text)
    if file is not SpecFile:
        return not validate_record(file, tree)[1]
    promised = lookup(tree, ("ablation", "changes"))
    if promised is not MISSING and not all(_has(tree, path) for path in promised):
        return False
    alone = {key: value for key, value in tree.items() if key not in _OTHER_FILES}
    named, origins = spelled_out(alone, {("rule",): Origin("file")})
    expanded, _, conflicts = expand_rule(named, origins)
    try:
        # The loader does the same, and takes ten times as long to say what is wrong.
        experiment = Experiment.model_validate_json(json.dumps(with_default_types(expanded)))
    except ValidationError:
        return False
    sections = {name: getattr(experiment, name) for name in Experiment.model_fields}
    wrong = conflicts or check(sections | {"rule": alone.get("rule")})
    return not wrong and not refusals(complete(experiment))


def _has(tree: Tree, path: str) -> bool:
    """Whether a file says something of a field."""
    return lookup(tree, tuple(path.split("."))) is not MISSING


def setters(path: Path) -> dict[Any, list[str]]:
    """The rules that set a field, by the value that they give it."""
    found: dict[Any, list[str]] = {}
    for name in RULES.names():
        value = lookup(cast(type[Rule], RULES.kind(name)).settings, path)
        value = value.get("type", MISSING) if isinstance(value, Mapping) else value
        if value is not MISSING:
            found.setdefault(value, []).append(name)
    return found


@lru_cache(maxsize=1)
def _rules_matter() -> frozenset[str]:
    """The sections that some check reads together with the gradient."""
    together = [names for names in map(read_by, CHECKS) if "gradient" in names]
    return frozenset(name for names in together for name in names) & Experiment.model_fields.keys()


def readers(trees: Sequence[Tree]) -> tuple[list[str], list[str]]:
    """Under which rules a spec may set what some of these examples set, and under which none.

    Estimators that no rule has count as rules.
    """
    found = [(tree, snippet(tree)) for tree in trees if tree.keys() <= _rules_matter()]
    needs = [(tree, _beside_rules(tree, both)) for tree, both in found if both is not None]
    if not needs:
        return [], []
    read: list[str] = []
    unread: list[str] = []
    for name, arm in _arms().items():
        can = any(
            _accepted(whole(merged(arm, own, tree)), SpecFile)
            for tree, beside in needs
            if merged(arm, tree) == merged(tree, arm)
            for own in ({}, beside)
        )
        (read if can else unread).append(name)
    return read, unread


def _beside_rules(tree: Tree, both: Tree) -> Tree:
    """The settings that an example needs and that belong to no rule or estimator."""
    settings = next(one for one in _SETTINGS if merged(one, tree) == both)
    return {key: value for key, value in settings.items() if key not in ("rule", "gradient")}


def all_examples(entry: Entry) -> list[Tree]:
    """A tree for every value that a field offers besides its default, and for its examples."""
    default = entry.info.default
    words = [value for value in literals(entry.info.annotation) if value != default]
    offered = [value_example(entry, value) for value in words]
    for choice in entry.choices:
        names = [name for name in choice.names() if name != str(default)]
        offered += [placed(entry.below, name, entry.types) for name in names]
    return [*offered, *examples(entry)]
