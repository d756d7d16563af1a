"""`fgspec schema`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fgspec.cli.options import ArgumentError
from fgspec.logbook import write_text
from fgspec.spec.experiment import SpecFile
from fgspec.spec.shorthand import SHORTHANDS


def language_schema() -> dict[str, Any]:
    """The JSON Schema of what a file may hold; more lenient than `check`, for editors."""
    schema = _lenient(SpecFile.model_json_schema())
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fgspec experiment, language version 1"
    del schema["required"]  # a base may have what the spec that extends it leaves out
    for *_, field in SHORTHANDS:
        for section in schema["$defs"].values():
            _allow_names(section["properties"].get(field, {}), schema["$defs"])
    for section in schema["$defs"].values():
        kind = section["properties"].get("type", {})
        kind.setdefault("description", section["description"])
    return schema


def _allow_names(field: dict[str, Any], sections: dict[str, Any]) -> None:
    """Let the name of a union's member stand for the member."""
    members = [sections[one["$ref"].split("/")[-1]] for one in field.get("anyOf", ())]
    if members:
        names = [member["properties"]["type"]["const"] for member in members]
        field["anyOf"].append({"type": "string", "enum": names})


def _lenient(schema: Any) -> Any:
    """`schema` with unions that need no `type:`, which a base may have."""
    if isinstance(schema, list):
        return [_lenient(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"anyOf" if key == "oneOf" else key: _lenient(v) for key, v in schema.items()}
    renamed.pop("discriminator", None)
    return renamed


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
    text = json.dumps(language_schema(), indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    try:
        write_text(out, text)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"schema: {out} cannot be written ({error})") from None
    print(f"{out} written; begin a spec beside it with")
    print(f"# yaml-language-server: $schema={out.name}")
