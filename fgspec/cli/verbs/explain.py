"""`fgspec explain`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.verbs.shared import PictureOption, SetOption, SpecArgument

LatexOption = Annotated[
    Path | None,
    typer.Option("--latex", metavar="FILE", help="Write the equations as LaTeX to this file."),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Write words and equations as Markdown."),
]


def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    latex: LatexOption = None,
    markdown: MarkdownOption = None,
    picture: PictureOption = None,
) -> None:
    """Print a spec's learning rule in words and as equations, its bias, variance and cost.

    Example: fgspec explain specs/quickstart.yaml --picture rule.svg
    """
