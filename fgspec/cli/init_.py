"""`fgspec init`."""

from pathlib import Path
from typing import Annotated

import typer

from fgspec.cli.options import ArgumentError
from fgspec.loading.template import quickstart
from fgspec.training.logbook import write_text


def run(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("experiment.yaml"),
    rule: Annotated[
        str, typer.Option("--rule", help="A learning rule, such as lg-bp.")
    ] = "lg-fg-a",
) -> None:
    """Write a spec to start from: LocalMixer on the digits that come with scikit-learn.

    Example: fgspec init my.yaml --rule lg-bp
    """
    # A name has at most 100 characters; a file's may have more.
    text = quickstart(rule, path.stem[:100], str(path))
    try:
        if path.exists():
            raise ArgumentError(f"init: {path} is there already; nothing was written")
        if not path.parent.is_dir():
            raise ArgumentError(f"init: {path.parent} is no folder; nothing was written")
        write_text(path, text)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"init: {path} cannot be written ({error})") from None
    print(f"{path} written; try: fgspec train {path}")
