"""Arguments that several verbs share."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fgspec.errors import UserError
from fgspec.problems.problems import nearest
from fgspec.spec.mesh import AXES
from fgspec.yaml.load import YamlError, scalar

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec, a YAML file.")]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]

StepOption = Annotated[
    str,
    typer.Option(
        "--step",
        metavar="STEP",
        help="Which checkpoint: newest; best, by the objective's leading metric among those that "
        "were evaluated; or the updates done.",
    ),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field, such as optimizer.learning_rate=0.1; may be given many times.",
    ),
]

MeshOption = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        metavar="AXIS=N,...",
        help="Devices along each axis of the mesh, such as data=4,group=2, instead of the "
        "spec's; -1 takes the devices that are here and left.",
    ),
]

BreakLockOption = Annotated[
    bool,
    typer.Option(
        "--break-lock", help="Take the run away from a process of another host, which is gone."
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class ArgumentError(UserError):
    """Arguments that do not go together."""


def unwritable(file: Path) -> str:
    """Why a file cannot be written, empty if it can: asked before what it is to hold is computed.

    Folders that are missing will be made.
    """
    if file.is_dir():
        return "is a folder"
    folder = next(place for place in file.absolute().parents if place.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


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
