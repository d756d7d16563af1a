"""`fgspec VERB ...`: finds the verb's module, and turns errors into lines and exit codes."""

import importlib
import logging
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from fgspec.errors import UserError

VERBS = {
    "init": "write a spec to start from",
    "check": "say everything that is wrong with specs",
    "show": "print a resolved spec and where each value comes from",
    "schema": "print the JSON Schema of the language for editors",
    "plan": "print layers, losses, credit routes and cost",
    "train": "train a spec, or go on with a run",
    "launch": "train in many processes on this host, again if one dies",
    "eval": "evaluate the newest checkpoint of a run",
    "replay": "run the steps once more at which a run broke, layer by layer",
    "sweep": "train many specs made of one",
    "status": "print how far the runs of a sweep are",
    "report": "compare runs: means, paired differences, curves, as HTML and Markdown",
    "reproduce": "train cells of a paper's table, and print them beside the paper's",
    "bench": "measure and compare compiled updates: time, memory, FLOPs",
    "diff": "say what two specs have not in common, and what that changes",
}
"""Every verb, in the order in which `--help` lists them; `fgspec.cli.<verb>` holds each."""


class _Verbs(TyperGroup):
    """Imports a verb's module only when it is called: `check` need not wait for JAX."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every verb."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of one verb, or None."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"fgspec.cli.{cmd_name}_")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name=cmd_name, short_help=VERBS[cmd_name])(module.run)
        return typer.main.get_command(app)


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(epilog="Example: fgspec train specs/quickstart.yaml")
def root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of users' errors.")
    ] = False,
) -> None:
    """Compile and train experiment specs for learning rules beyond backprop.

    Exit codes: 0 done, 1 failed while running, 2 bad spec or arguments, 3 resume refused,
    75 stopped and resumable, 76 lost a process and resumable; `diff` exits with 1 when the specs
    differ.
    """


def _complain(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line and exit."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        app()
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written, a file taken away
        if "--debug" in sys.argv:
            raise
        _complain(f"{error.filename or 'fgspec'}: {error.strerror or error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
