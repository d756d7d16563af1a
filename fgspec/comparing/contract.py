"""Ablation contracts: a spec differs from its base in what it lists, and in nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fgspec.loading.merge import keys_of
from fgspec.loading.resolved import Difference, differences
from fgspec.loading.spec_file import Loaded, base_of
from fgspec.problems.problems import MISSING, Problem, dotted, lookup, nearest, shown
from fgspec.spec.ablation import CONSEQUENCES, Ablation
from fgspec.yaml.load import Path

FREE = ("name", "description", "expect")
"""Fields that an ablation may change without a word: they decide no number."""


def base(loaded: Loaded) -> Loaded:
    """The spec that `loaded` is an ablation of, under the same overrides.

    Overrides of what the ablation lists are its own.

    Raises:
        SpecError: it is not found beside it, or wrong.
    """
    assert loaded.ablation is not None
    own = _paths(loaded.ablation)
    shared = [o for o in loaded.overrides if not _listed(_path(o.split("=")[0]), own)]
    return base_of(loaded, shared)


def broken(loaded: Loaded) -> list[Problem]:
    """What of a spec's fields its contract does not allow; nothing where it has none.

    Raises:
        SpecError: its base is not found beside it, or wrong.
    """
    if loaded.ablation is None:
        return []
    other = base(loaded)
    found = [d for d in differences(other, loaded) if d.path[0] not in FREE]
    paths = _paths(loaded.ablation)
    unlisted = [_unlisted(d, other) for d in found if not _listed(d.path, paths)]
    return [*unlisted, *_idle(paths, found, (other.values(), loaded.values()), other.file)]


def _paths(ablation: Ablation) -> list[Path]:
    return [_path(text) for text in ablation.changes]


def _path(text: str) -> Path:
    return keys_of(text)


def _listed(path: Path, paths: Iterable[Path]) -> bool:
    return any(path[: len(own)] == own for own in paths)


def _unlisted(difference: Difference, other: Loaded) -> Problem:
    value = "absent" if difference.a is MISSING else shown(difference.a)
    place = "" if difference.a is MISSING else f" ({difference.a_origin})"
    message = (
        f"differs from {other.file}, where it is {value}{place}, and ablation.changes does not "
        "list it; set it back, or list it"
    )
    return Problem(difference.path, message, difference.b is not MISSING)


def _idle(
    paths: list[Path], found: list[Difference], sides: tuple[Any, Any], file: str
) -> Iterator[Problem]:
    """What is listed is a field, and differs."""
    known = [dotted(path) for side in sides for path in _fields(side, ())]
    for index, path in enumerate(paths):
        at: Path = ("ablation", "changes", index)
        if all(lookup(side, path) is MISSING for side in sides):
            yield Problem(at, f"no such field; {nearest(dotted(path), known)}")
        elif not _listed(path, [d.path for d in found]) and not any(
            _listed(d.path, [path]) for d in found
        ):
            yield Problem(at, f"is the same in {file}; change it, or list it no more")


def _fields(tree: Any, at: Path) -> Iterator[Path]:
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        yield (*at, key)
        yield from _fields(value, (*at, key))


def _few(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def untold(ablation: Ablation, changed: Mapping[str, Iterable[str]]) -> list[Problem]:
    """What of a spec's consequences its contract does not allow.

    Args:
        ablation: the contract.
        changed: what differs from the base, by a name of `CONSEQUENCES`, then by name.
    """
    if ablation.touches is None:
        return []
    allowed = [tuple(name.split("/")) for name in ablation.touches]
    found = {
        group: [name for name in names if not _listed((group, *name.split("/")), allowed)]
        for group, names in changed.items()
    }
    return [
        Problem(
            ("ablation", "touches"),
            f"does not list {group}, but what is changed touches the {CONSEQUENCES[group]} "
            f"({_few(names)}); list it, or change less",
        )
        for group, names in found.items()
        if names
    ]
