"""Errors of arguments, and what several verbs read from them."""

import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from fgspec.errors import UserError
from fgspec.problems.problems import nearest
from fgspec.show.lines import say
from fgspec.spec.mesh import AXES
from fgspec.training.which_run import the_run
from fgspec.yaml.load import YamlError, scalar


class ArgumentError(UserError):
    """Arguments that do not go together."""


def then(*words: object) -> None:
    """Say which command makes sense next, as the last line of a verb."""
    print(f"next: {shlex.join(['fgspec', *map(str, words)])}")


def meant(named: Path) -> Path:
    """The folder of the run that a user names, and says which it is where that is not plain.

    Raises:
        NoRunError: several are meant.
    """
    found = the_run(named)
    if found != named:
        say(Console(stderr=True), f"run {found}")
    return found


def refuse_unwritable(argument: str, path: Path, file: Path | None = None) -> None:
    """Refuse a file that cannot be written, before what it is to hold is computed.

    Folders that are missing will be made.

    Args:
        argument: the verb and its option, such as `plan: --picture`.
        path: its value.
        file: what will be written there, if not the path itself.

    Raises:
        ArgumentError: the file cannot be written.
    """
    file = file or path
    if file.is_dir():
        raise ArgumentError(f"{argument} {path}: is a folder; add a file name to it")
    folder = next(place for place in file.absolute().parents if place.exists())
    with written(argument, path), tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def written(argument: str, path: Path) -> Iterator[None]:
    """Write what an argument asks for.

    Raises:
        ArgumentError: it cannot be written.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(
            f"{argument} {path}: cannot be written ({reason}); choose another folder or file name"
        ) from None


def with_mesh(overrides: list[str] | None, mesh: str | None) -> list[str]:
    """Overrides, and those that a `--mesh` stands for; the axes it does not name have one device.

    Raises:
        ArgumentError: an axis is unknown, named twice or has no number.
    """
    found: dict[str, str] = dict.fromkeys(AXES, "1") if mesh is not None else {}
    named = [part.partition("=") for part in mesh.split(",")] if mesh is not None else []
    for axis, _, size in named:
        if axis.strip() not in found:
            raise ArgumentError(f"--mesh: {nearest(axis.strip(), AXES)} (got {axis.strip()})")
        if not re.fullmatch(r"[0-9]+|-1", size.strip()):
            raise ArgumentError(f"--mesh: {axis} needs a number, such as {axis}=4 (got {mesh})")
        found[axis.strip()] = size.strip()
    if len({axis for axis, _, _ in named}) < len(named):
        raise ArgumentError(f"--mesh: names an axis twice (got {mesh})")
    return [*(overrides or ()), *(f"mesh.{axis}={size}" for axis, size in found.items())]


def nested(settings: Sequence[str], option: str) -> dict[str, Any]:
    """The values that `name=value` strings give, YAML each; `a.b=1` gives `b` in the mapping `a`.

    Raises:
        ArgumentError: one is no name and value.
    """
    found: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        *above, last = (key.strip() for key in path.split("."))
        if not equals or not all([*above, last]):
            raise ArgumentError(f"{option}: must be name=value, such as num_cpus=2 (got {setting})")
        inner = found
        for key in above:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ArgumentError(f"{option}: {key} has a value already (got {setting})")
        try:
            inner[last] = scalar(value)
        except YamlError as error:
            raise ArgumentError(f"{option}: {path}: {error.problem}") from None
    return found
