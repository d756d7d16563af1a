"""`fgspec explain`."""

from typing import Annotated

import typer

from fgspec.cli.verbs.shared import field_names


def run(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FIELD",
            help="A field or section by its path, a field and a value, or the name of a method or "
            "rule.",
            autocompletion=field_names,
        ),
    ],
) -> None:
    """Print what a field, a value or a rule means: type, default, values, an example.

    The end of a path is enough if no other path ends like it. Fields of sweep files are explained
    too.

    Example: fgspec explain gradient.perturbation.guess.type=sphere
    """
