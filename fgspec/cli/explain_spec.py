"""`fgspec explain SPEC`: what a spec's learning rule is."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from rich.console import Console
from rich.text import Text

from fgspec import api
from fgspec.cli.arguments import refuse_unwritable
from fgspec.explaining.explanation import Explanation, letters_of
from fgspec.formulas.styles import TEXT
from fgspec.formulas.tree import Equation
from fgspec.loading.spec_file import load
from fgspec.training.logbook import write_text

_WIDEST = 100
"""Letters in a line that are still easy to read."""


def show(
    spec: Path,
    overrides: Sequence[str] = (),
    latex: Path | None = None,
    markdown: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Print a spec's rule in words and as equations; write other forms to files.

    Args:
        spec: a YAML file.
        overrides: `path=value`, as of --set.
        latex: the file for its equations as LaTeX.
        markdown: the file for words and equations as Markdown.
        picture: the file for its picture, an SVG.
    """
    asked = {"--latex": latex, "--markdown": markdown, "--picture": picture}
    for option, file in asked.items():
        if file is not None:
            refuse_unwritable(f"explain: {option}", file)
    found = api.explain(load(spec, overrides))
    _print(found)
    forms = {latex: found.latex, markdown: found.markdown, picture: lambda: found.picture}
    for file, form in forms.items():
        if file is not None:
            write_text(file, f"{form().rstrip()}\n")


def _print(found: Explanation) -> None:
    console = Console()

    def say(text: str, left: int = 0, style: str = "") -> None:
        indent = " " * left
        width = min(console.width, _WIDEST)
        lines = fill(text, width, initial_indent=indent, subsequent_indent=indent)
        console.print(Text(lines, style), soft_wrap=True)

    for paragraph in found.paragraphs:
        say(paragraph)
        say("")

    def show(equations: Sequence[Equation]) -> None:
        for equation in equations:
            console.print(Text(f"    {equation.show(TEXT)}", "bold"), soft_wrap=True)
            say(equation.says, 8)

    show(found.equations)
    if found.equations:
        say("")
        say(found.letters())
    for title, equations in found.losses:
        say("")
        say(f"{title}:")
        show(equations)
        say("")
        say(letters_of(equations))
    say("")
    say(f"Bias. {found.bias}")
    say(f"Variance. {found.variance}")
    say(f"Cost. {found.cost}")
