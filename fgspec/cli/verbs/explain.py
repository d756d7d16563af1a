"""`fgspec explain`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import PictureOption, SetOption, field_names

WhatArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|FIELD",
        help="A spec file; or a field or section by its path, a field and a value, or the name of "
        "a method or rule.",
        autocompletion=field_names,
    ),
]
LatexOption = Annotated[
    Path | None,
    typer.Option(
        "--latex", metavar="FILE", help="Write the spec's equations as LaTeX to this file."
    ),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option(
        "--markdown", metavar="FILE", help="Write the spec's words and equations as Markdown."
    ),
]


def run(
    what: WhatArgument,
    overrides: SetOption = None,
    latex: LatexOption = None,
    markdown: MarkdownOption = None,
    picture: PictureOption = None,
) -> None:
    """Explain a spec's learning rule, or what a field, a value or a method means.

    Of a spec: the rule in words and as equations, its bias, its variance and its cost. Of a field:
    type, default, values and an example; the end of a path is enough if no other path ends like it.

    Example: fgspec explain specs/quickstart.yaml --picture rule.svg

    Example: fgspec explain gradient.perturbation.guess.type=sphere
    """
