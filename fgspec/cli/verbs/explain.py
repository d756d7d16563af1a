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

    The end of a path is enough where only one field ends so. Fields of sweeps are explained too.

    Examples: fgspec explain optimizer.learning_rate, fgspec explain guess.type=sphere,
    fgspec explain lg-fg-a

    Example: fgspec explain gradient.perturbation.guess.type=sphere
    """
