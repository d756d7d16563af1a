"""`fgspec check`."""

from pathlib import Path
from typing import Annotated

import typer

from compiler.support import data_problems, refusals
from fgspec.canonical import identity
from fgspec.cli.options import SetOption
from fgspec.contract import broken
from fgspec.data.describe import describe
from fgspec.diagnostics import Problem, SpecError
from fgspec.errors import DataError
from fgspec.source import Loaded, load


def checked(loaded: Loaded) -> Loaded:
    """`loaded`, unless its contract, the compiler or the data refuse it.

    Raises:
        SpecError: with one line for each refusal.
    """
    spec = loaded.experiment
    problems = [*broken(loaded), *refusals(spec)]
    try:
        problems += data_problems(spec, describe(spec.data.source))
    except DataError as error:
        lines = str(error).splitlines()
        problems += [Problem(("data", "source"), line, shows=False) for line in lines]
    loaded.refuse(problems)
    return loaded


def run(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC...", help="Specs, YAML files.")],
    overrides: SetOption = None,
) -> None:
    """Say everything that is wrong with specs; nothing is compiled.

    Example: fgspec check specs/quickstart.yaml
    """
    lines: list[str] = []
    for path in specs:
        try:
            loaded = checked(load(path, overrides or ()))
            print(f"{path}: ok ({loaded.experiment.name}, {identity(loaded.values())[:8]})")
        except SpecError as error:
            lines += error.lines
    if lines:
        raise SpecError(list(dict.fromkeys(lines)))
