"""Arguments that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.errors import UserError

SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec, a YAML file.")]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field, such as optimizer.learning_rate=0.1; may be given many times.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class ArgumentError(UserError):
    """Arguments that do not go together."""
