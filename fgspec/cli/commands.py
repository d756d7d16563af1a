"""How words of the command line become a verb and its arguments; nothing here takes time."""

import functools
import importlib
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

SETTING = re.compile(r"[A-Za-z_][\w.\[\]]*=")
"""How a field and its value begin."""

HELP = {"help_option_names": ["-h", "--help"]}


class Verb(TyperCommand):
    """One verb; a field and its value by themselves mean `--set`, where the verb has that."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the verb."""
        options = [param for param in self.params if isinstance(param, TyperOption)]
        if any("--set" in option.opts for option in options):
            takes = {name for one in options if not one.is_flag for name in one.opts}
            args = _with_set(args, takes)
        return super().parse_args(ctx, args)


def _with_set(words: Sequence[str], takes: set[str]) -> list[str]:
    """The words with `--set` before every field and value that is no option's and no file."""
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        bare = before not in takes and SETTING.match(word) and not Path(word).exists()
        found += ["--set", word] if bare else [word]
    return found


class Verbs(TyperGroup):
    """Imports what a verb takes when the verb is named, and what it does when it is called.

    Attributes:
        about: every verb and its line of help, in order.
    """

    about: ClassVar[Mapping[str, str]]

    def list_commands(self, ctx: Any) -> list[str]:
        """Every verb."""
        return list(self.about)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of one verb, or None."""
        if cmd_name not in self.about:
            return None
        declared = importlib.import_module(f"fgspec.cli.verbs.{cmd_name}").run

        @functools.wraps(declared)
        def act(**given: Any) -> None:
            importlib.import_module(f"fgspec.cli.{cmd_name}_").run(**given)

        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        about = self.about[cmd_name]
        app.command(name=cmd_name, short_help=about, cls=Verb, context_settings=HELP)(act)
        return typer.main.get_command(app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that the first word names.

        Raises:
            UsageError: there is none.
        """
        if args[0] not in self.about and not args[0].startswith("-"):
            close = get_close_matches(args[0], self.about, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(self.about)}"
            ctx.fail(f"no such verb; {hint} (got {args[0]})")
        return super().resolve_command(ctx, args)
