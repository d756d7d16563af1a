"""Turns the words of the command line into a verb and its arguments; imports nothing slow."""

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
"""The beginning of `field=value`."""

HELP = {"help_option_names": ["-h", "--help"]}


class Verb(TyperCommand):
    """One verb; `field=value` means `--set field=value` if the verb has that option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the verb."""
        options = [param for param in self.params if isinstance(param, TyperOption)]
        if any("--set" in option.opts for option in options):
            takes = {name for one in options if not one.is_flag for name in one.opts}
            args = _with_set(args, takes)
        return super().parse_args(ctx, args)


def _with_set(words: Sequence[str], takes: set[str]) -> list[str]:
    """Insert `--set` before each `field=value` that is no file and no value of an option.

    A first `field=value` that leaves no word for the verb's argument is that argument itself, as in
    `fgspec explain guess=sphere`.
    """
    alone = [
        before not in takes and not word.startswith("-")
        for before, word in zip(["", *words], words, strict=False)
    ]
    settings = [
        may and bool(SETTING.match(word)) and not Path(word).exists()
        for may, word in zip(alone, words, strict=True)
    ]
    if sum(alone) == sum(settings) > 0:
        settings[settings.index(True)] = False
    pairs = zip(words, settings, strict=True)
    return [part for word, sets in pairs for part in (("--set", word) if sets else (word,))]


class Verbs(TyperGroup):
    """Imports the options of a verb when it is named, and its work when it is called.

    A verb of two words, such as `data check`, is a verb of a group that the first word names.

    Attributes:
        about: the short help of every verb, in the order of `--help`.
        groups: the help of every first word that several verbs share.
        before: the words before those of this group, with a space after them.
    """

    about: ClassVar[Mapping[str, str]]
    groups: ClassVar[Mapping[str, str]]
    before: str = ""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every verb, or the first word of several."""
        own = [verb for verb in self.about if verb.startswith(self.before)]
        return list(dict.fromkeys(verb.removeprefix(self.before).split()[0] for verb in own))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of one verb, or the group that a word begins, or None."""
        verb = f"{self.before}{cmd_name}"
        if verb in self.groups:
            group = Verbs(
                name=cmd_name,
                help=self.groups[verb],
                context_settings=HELP,
                no_args_is_help=True,
                rich_markup_mode=None,
            )
            group.before = f"{verb} "
            return group
        if verb not in self.about:
            return None
        module = verb.replace(" ", "_")
        declared = importlib.import_module(f"fgspec.cli.verbs.{module}").run

        @functools.wraps(declared)
        def act(**given: Any) -> None:
            importlib.import_module(f"fgspec.cli.{module}_").run(**given)

        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        about = self.about[verb]
        app.command(name=cmd_name, short_help=about, cls=Verb, context_settings=HELP)(act)
        return typer.main.get_command(app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that the first word names.

        Raises:
            UsageError: there is no such verb.
        """
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            close = get_close_matches(args[0], known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            ctx.fail(f"no such verb; {hint} (got {args[0]})")
        return super().resolve_command(ctx, args)
