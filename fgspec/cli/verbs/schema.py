"""`fgspec schema`."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="The schema of sweep files instead of specs.")
    ] = False,
) -> None:
    """Print the JSON Schema of the language, with which an editor completes and checks specs.

    In VS Code (with the YAML extension) and other editors that speak to yaml-language-server,
    write the schema to a file and begin each spec with the line

        # yaml-language-server: $schema=fgspec.schema.json

    with the path relative to the spec. Sweep files have a schema of their own: --sweep.

    Example: fgspec schema --out specs/fgspec.schema.json
    """
