"""`fgspec schema`."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Print the schema of sweep files instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of the language, for completion and checks in editors.

    This works in VS Code with the YAML extension and in other editors that use
    yaml-language-server. Write the schema to a file and begin each spec with the line

        # yaml-language-server: $schema=fgspec.schema.json

    The path is relative to the spec. Sweep files have a schema of their own: use --sweep.

    Example: fgspec schema --out specs/fgspec.schema.json
    """
