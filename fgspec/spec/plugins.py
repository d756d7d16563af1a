"""What installed packages offer, by their entry points; fgspec's own methods register the same way.

Reading what is installed imports nothing: a package is imported when a spec names what it offers,
or when the whole language is asked for.
"""

import importlib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    version,
)
from typing import Any, NamedTuple

from fgspec.errors import UserError

PREFIX = "fgspec."
"""How the name of every group of entry points begins that fgspec reads."""

OWN = "fgspec"
"""The distribution of the built-in methods."""


class Package(NamedTuple):
    """An installed distribution, and its version."""

    name: str
    version: str

    def __str__(self) -> str:
        """`fgspec-sdfa 0.1`."""
        return f"{self.name} {self.version}"


def package_of(point: EntryPoint) -> Package:
    """The distribution that an entry point belongs to."""
    if point.dist is None:
        return Package(point.value.partition(":")[0], "of unknown version")
    return _package(point.dist)


@cache
def _package(dist: Distribution) -> Package:
    """Both words are parsed anew whenever they are asked for, which takes a millisecond."""
    return Package(dist.name, dist.version)


@lru_cache(maxsize=1)
def _groups() -> Mapping[str, Mapping[str, tuple[EntryPoint, ...]]]:
    """Entry points by group and name, fgspec's own first."""
    # Of a package that lies on the path twice, these are the points of the first, which Python
    # imports.
    installed = entry_points()
    groups = sorted(group for group in installed.groups if group.startswith(PREFIX))
    points = [point for group in groups for point in installed.select(group=group)]
    found: dict[str, dict[str, tuple[EntryPoint, ...]]] = {}
    for point in sorted(points, key=_rank):
        alike = found.setdefault(point.group, {})
        alike[point.name] = (*alike.get(point.name, ()), point)
    return found


def _rank(point: EntryPoint) -> tuple[bool, str, str]:
    owner = package_of(point).name
    return owner != OWN, point.name, owner


def forget() -> None:
    """Read what is installed anew, when it is next asked for."""
    _groups.cache_clear()
    _package.cache_clear()


def names(group: str) -> tuple[str, ...]:
    """What is installed in a group: fgspec's own, then that of others; nothing is imported."""
    return tuple(_groups().get(group, {}))


def points(group: str, name: str) -> tuple[EntryPoint, ...]:
    """Who offers a name; several if packages clash."""
    return _groups().get(group, {}).get(name, ())


def owner(group: str, name: str) -> Package | None:
    """The package that offers a name; None if nobody does."""
    return next((package_of(point) for point in points(group, name)), None)


def is_built_in(group: str, name: str) -> bool:
    """Whether a name is one of fgspec's own, which no other package claims."""
    return [package_of(point).name for point in points(group, name)] == [OWN]


def package_version(name: str) -> str | None:
    """The version of an installed distribution; None if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def load(group: str, name: str, what: str) -> Any:
    """What an entry point names.

    Args:
        group: of entry points.
        name: that is installed in it.
        what: the table in words, such as `objective`.

    Raises:
        UserError: two packages offer the name, or it cannot be imported.
    """
    point, *others = points(group, name)
    if others:
        both = " and ".join(str(package_of(p)) for p in (point, *others))
        other = package_of(others[0]).name
        raise UserError(f"the {what} {name} is offered by {both}; pip uninstall {other}, or rename")
    try:
        return point.load()
    except RAISED as error:
        package = package_of(point)
        raise UserError(
            f"{package}: its {what} {name} cannot be imported: {reason_of(error)}; mend the "
            f"package, or pip uninstall {package.name}"
        ) from error


# A script that is imported ends by sys.exit(), which is no Exception.
RAISED = (Exception, SystemExit)
"""Whatever a module of others raises when it is imported, but Ctrl-C."""


def reason_of(error: BaseException) -> str:
    """Why something could not be imported, in one line."""
    reason = str(error).splitlines()[0] if str(error) else "no reason given"
    return reason if isinstance(error, ImportError) else f"{type(error).__name__}: {reason}"


def named(path: str) -> Any:
    """What `module:name` stands for; the module is imported."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
