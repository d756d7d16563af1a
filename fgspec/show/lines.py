"""Lines on a console."""

from rich.console import Console
from rich.text import Text

from fgspec.errors.seen import seen


def say(console: Console, line: str | Text = "") -> None:
    """Print a line as it is, however long.

    To rich, brackets in a text are styles and `:bug:` is a picture; to a user they are parts of a
    folder's name.
    """
    text = Text("\n".join(map(seen, line.split("\n")))) if isinstance(line, str) else line
    console.print(text, soft_wrap=True)
