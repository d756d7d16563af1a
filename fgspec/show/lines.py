"""Lines on a console."""

from rich.console import Console
from rich.text import Text

from fgspec.errors.seen import seen


def say(console: Console, line: str | Text = "") -> None:
    """Print a line as it is, without wrapping.

    rich would read brackets in a text as styles and `:bug:` as an emoji, but folders may have such
    names.
    """
    text = Text("\n".join(map(seen, line.split("\n")))) if isinstance(line, str) else line
    console.print(text, soft_wrap=True)
