"""`fgspec VERB ...`: lists the verbs and turns errors into messages and exit codes."""

import importlib
import io
import logging
import re
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from fgspec.cli.commands import HELP, Verbs
from fgspec.errors import UserError
from fgspec.errors.seen import seen
from fgspec.show.lines import say

VERBS = {
    "init": "write a first spec",
    "check": "report all mistakes in specs",
    "show": "print a resolved spec and where each value comes from",
    "explain": "explain a spec's learning rule, or a field, a value or a method",
    "schema": "print the JSON Schema of the language for editors",
    "plan": "print layers, losses, credit routes and cost",
    "data check": "read a spec's data once: counts, damage, statistics, pictures, speed",
    "data pack": "write a spec's data as ArrayRecord files",
    "train": "train a spec, or resume a run",
    "launch": "train in several processes on this host, restart them if one dies",
    "eval": "evaluate a checkpoint of a run, class by class",
    "predict": "write the predicted classes of images to a file",
    "export": "write the parameters of a trained model to a file",
    "replay": "repeat the steps at which a run diverged, layer by layer",
    "sweep": "train many variants of a spec",
    "status": "show the progress of a sweep",
    "runs": "list runs: state, metrics, age, and how their specs differ",
    "report": "compare runs: means, paired differences, curves, as HTML and Markdown",
    "reproduce": "train cells of a paper's table and compare with the published numbers",
    "bench": "measure and compare compiled updates: time, memory, FLOPs",
    "diff": "show how two specs differ and what that changes",
}
"""Every verb, in the order in which `--help` lists them; `fgspec.cli.<verb>_` holds each."""

GROUPS = {"data": "check the data of a spec, or pack them"}
"""The help of every first word of verbs of two words."""

Verbs.about, Verbs.groups = VERBS, GROUPS

app = typer.Typer(
    cls=Verbs,
    context_settings=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"fgspec {importlib.import_module('fgspec').__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
]


@app.callback(epilog="Example: fgspec train specs/quickstart.yaml")
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: VersionOption = False,
) -> None:
    """Compile and train experiment specs for learning rules beyond backprop.

    Exit codes: 0 done, 1 failed while running, 2 mistake in a spec or in arguments, 3 cannot resume
    this run, 75 stopped and can be resumed, 76 lost a process and can be resumed. `diff` exits with
    1 when the specs differ.
    """


def _complain(text: str) -> None:
    with suppress(OSError):  # standard error may be a file on the disk that is full
        console = Console(stderr=True)
        for line in text.splitlines():
            place, colon, rest = seen(line).partition(": ")
            say(console, Text.assemble((place + colon, "bold red" if colon else ""), rest))


def _print_anything() -> None:
    """Print characters that the terminal cannot encode as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_unseen(words: Sequence[str]) -> None:
    """Refuse control characters in file names, because messages and records have one line each.

    Raises:
        UserError: an argument other than a value of `--set` has a control character.
    """
    for before, word in zip(["", *words], words, strict=False):
        is_value = before == "--set" or word.startswith("--set=")
        if not is_value and any(unicodedata.category(letter) == "Cc" for letter in word):
            raise UserError(
                f"{seen(word)}: a path must not contain a line break or another control "
                "character; rename the file or folder"
            )


def main() -> None:
    """Run the command line and exit."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    _print_anything()
    try:
        _refuse_unseen(sys.argv[1:])
        app(prog_name="fgspec")
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a read-only folder, a file that was removed
        if "--debug" in sys.argv:
            raise
        _complain(f"{error.filename or 'fgspec'}: {error.strerror or error}")
        sys.exit(1)
    except ValueError as error:
        # JAX reads its environment variables on import and raises for one that it cannot parse.
        if "--debug" in sys.argv or not re.search(r"environment .?JAX_[A-Z0-9_]+", str(error)):
            raise
        _complain(f"{error}; correct this variable or unset it")
        sys.exit(2)


if __name__ == "__main__":
    main()
