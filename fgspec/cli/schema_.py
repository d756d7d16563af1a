"""`fgspec schema`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fgspec.logbook import write_text
from fgspec.spec.experiment import SpecFile


def run(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
) -> None:
    """Print the JSON Schema of the language, with which an editor completes and checks specs.

    In VS Code (with the YAML extension) and other editors that speak to yaml-language-server,
    write the schema to a file and begin each spec with the line

        # yaml-language-server: $schema=fgspec.schema.json

    with the path relative to the spec.

    Example: fgspec schema --out specs/fgspec.schema.json
    """
    schema = SpecFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fgspec experiment, language version 1"
    # A spec that extends another may leave out what its base has.
    schema["required"] = [] if "extends" in schema["properties"] else schema["required"]
    text = json.dumps(schema, indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    write_text(out, text)
    print(f"{out} written; begin a spec beside it with")
    print(f"# yaml-language-server: $schema={out.name}")
